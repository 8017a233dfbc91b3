from __future__ import annotations

import pathlib

import pytest
from kfp.pipeline_spec import pipeline_spec_pb2 as pb

from pipelines.kubeflow.launcher import check_places, local_path, with_local_paths, with_types, with_uris
from tinytimbre.errors import TinyTimbreError

ROOT = pathlib.Path("/")
SCHEMA = "title: components.Features\ntype: object\n"


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        # As LocalPathForURI of the launcher maps them.
        ("minio://mlpipeline/v2/artifacts/run/features", "/minio/mlpipeline/v2/artifacts/run/features"),
        ("s3://bucket/a b/ü/features", "/s3/bucket/a b/ü/features"),
        ("gs://bucket/features", "/gcs/bucket/features"),
        ("/tmp/kfp/features", "/tmp/kfp/features"),
    ],
)
def test_uris_are_where_the_launcher_keeps_them(uri: str, path: str) -> None:
    assert local_path(uri, root=ROOT) == pathlib.Path(path)


@pytest.mark.parametrize(
    "uri",
    ["", "/", "/data", "features", "s3://", "s3://bucket", "s3://bucket/", "s3://bucket/../x", "oci://a/b", "s3:/a/b"],
)
def test_what_the_launcher_keeps_no_copy_of_is_refused(uri: str) -> None:
    with pytest.raises(TinyTimbreError, match="artifacts must lie below"):
        local_path(uri, root=ROOT)


def message() -> pb.ExecutorInput:
    found = pb.ExecutorInput()
    for key in ("features", "undeclared"):
        artifact = found.inputs.artifacts[key].artifacts.add(uri=f"s3://b/in/{key}")
        artifact.type.instance_schema = ""
    found.outputs.artifacts["plan"].artifacts.add(uri="s3://b/out/plan").type.instance_schema = "title: components.X"
    found.outputs.artifacts["executor-logs"].artifacts.add(uri="s3://b/out/logs").type.schema_title = "system.Artifact"
    return found


def test_types_come_from_the_components_declaration() -> None:
    spec = pb.ComponentInputsSpec()
    spec.artifacts["features"].artifact_type.instance_schema = SCHEMA
    typed = with_types(message(), spec=spec)
    assert typed.inputs.artifacts["features"].artifacts[0].type.instance_schema == SCHEMA
    assert typed.outputs.artifacts["plan"].artifacts[0].type.instance_schema == "title: components.X"
    assert list(typed.outputs.artifacts) == ["plan"]
    assert sorted(message().outputs.artifacts) == ["executor-logs", "plan"]


def test_paths_there_and_uris_back() -> None:
    asked = message()
    asked.inputs.artifacts["undeclared"].artifacts[0].custom_path = "/elsewhere/file"
    local = with_local_paths(asked, root=ROOT)
    assert local.inputs.artifacts["features"].artifacts[0].uri == "/s3/b/in/features"
    assert local.inputs.artifacts["undeclared"].artifacts[0].uri == "/elsewhere/file"
    answer = pb.ExecutorOutput()
    made = answer.artifacts["plan"].artifacts.add(uri=local.outputs.artifacts["plan"].artifacts[0].uri)
    made.metadata["n_trials"] = 4
    told = with_uris(answer, asked=asked)
    assert told.artifacts["plan"].artifacts[0].uri == "s3://b/out/plan"
    assert told.artifacts["plan"].artifacts[0].metadata["n_trials"] == 4


@pytest.mark.parametrize(
    ("name", "value"), [("folder", "s3://bucket/recordings"), ("cache", "gs://bucket/cache"), ("publish_to", "models")]
)
def test_places_are_paths(name: str, value: str) -> None:
    found = pb.ExecutorInput()
    found.inputs.parameter_values["folder"].string_value = "/workspace/recordings"
    check_places(found)
    found.inputs.parameter_values[name].string_value = value
    with pytest.raises(TinyTimbreError, match="mounted volume") as caught:
        check_places(found)
    assert f"{name} = {value!r}" in caught.value.got


def test_models_and_trials_may_be_at_addresses() -> None:
    found = pb.ExecutorInput()
    found.inputs.parameter_values["publish_to"].string_value = "minio://bucket/models"
    found.inputs.parameter_values["store"].string_value = "s3://bucket/trials"
    check_places(found)
    found.inputs.parameter_values["publish_to"].string_value = "http://host/models"
    with pytest.raises(TinyTimbreError, match="a place in an object store"):
        check_places(found)
