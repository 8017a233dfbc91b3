"""Starts a compiled pipeline as a run.

    run_id = submit(client, compiled.to_yaml(), order)

What is there already is used: the pipeline, the version with the same content, the experiment. So the same command
may be repeated after whatever stopped it; only the last request starts anything.
"""

from __future__ import annotations

import dataclasses
import hashlib
import pathlib
import tempfile
from collections.abc import Mapping
from typing import Any

import kfp.client
from kfp.pipeline_spec import pipeline_spec_pb2 as pb
from kfp_server_api import V2beta1Pipeline, V2beta1PipelineVersion

from components.names import PIPELINE_NAME
from pipelines.kubeflow.connection import CONFLICT, RefusedError, pages
from pipelines.kubeflow.launcher import check_places, local_path
from tinytimbre.errors import TinyTimbreError

DIGEST_CHARACTERS = 12
PAGE_SIZE = 100


@dataclasses.dataclass(frozen=True)
class Order:
    """One run.

    Attributes:
        name: of the run.
        experiment: groups runs in Kubeflow's interface; made where there is none of this name.
        sweep: name of the configuration; versions of the pipeline are called after it.
        pipeline_root: where Kubeflow keeps what the pods make.
        parameters: of the run; those left out have their defaults.
    """

    name: str
    experiment: str
    sweep: str
    pipeline_root: str
    parameters: Mapping[str, str | float]


def check_order(order: Order) -> None:
    """What would otherwise fail in a pod, half an hour later.

    Raises:
        TinyTimbreError: no pipeline root, or one that the pods could not use; a place that is none.
    """
    if not order.pipeline_root:
        raise TinyTimbreError(
            "a run needs a pipeline root: where Kubeflow keeps what its pods make, and where results are fetched from",
            got="none",
            remedy="--pipeline-root s3://bucket/folder, or minio://mlpipeline/v2/artifacts for the cluster's own store",
        )
    local_path(f"{order.pipeline_root.rstrip('/')}/{PIPELINE_NAME}", root=pathlib.Path("/"))
    asked = pb.ExecutorInput()
    for name, place in (("folder", "recordings"), ("publish_to", "publish_to")):
        if place in order.parameters:
            asked.inputs.parameter_values[name].string_value = str(order.parameters[place])
    check_places(asked)
    if not float(order.parameters.get("budget_scale", 1.0)) > 0:
        raise TinyTimbreError("--budget-scale must be above 0", got=f"{order.parameters['budget_scale']}")


def submit(client: kfp.client.Client, content: bytes, order: Order) -> str:
    """Starts a run; gives its id.

    Args:
        client: of `pipelines.kubeflow.connection.connect`.
        content: what to run, as `tinytimbre compile` writes it.
        order: how.

    Raises:
        TinyTimbreError: see `check_order`; or what the server says.
    """
    check_order(order)
    version = _version(client, content, sweep=order.sweep)
    experiment = client.create_experiment(name=order.experiment)
    run = client.run_pipeline(
        experiment_id=experiment.experiment_id,
        job_name=order.name,
        params=dict(order.parameters),
        pipeline_id=version.pipeline_id,
        version_id=version.pipeline_version_id,
        pipeline_root=order.pipeline_root,
    )
    return str(run.run_id)


def find_pipeline(client: kfp.client.Client) -> V2beta1Pipeline | None:
    """The pipeline under which all versions are; None where nothing was submitted yet."""
    namespace = client.get_user_namespace() or None

    def ask(token: str) -> Any:
        return client.list_pipelines(page_token=token, page_size=PAGE_SIZE, namespace=namespace)

    return next((found for found in pages(ask, field="pipelines") if found.display_name == PIPELINE_NAME), None)


def _version(client: kfp.client.Client, content: bytes, *, sweep: str) -> V2beta1PipelineVersion:
    """The version of this content, uploaded where it is not there yet."""
    name = f"{sweep}-{hashlib.sha256(content).hexdigest()[:DIGEST_CHARACTERS]}"
    pipeline = find_pipeline(client) or _new_pipeline(client)
    if found := _find_version(client, pipeline, name):
        return found
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "pipeline.yaml"
        path.write_bytes(content)
        try:
            return client.upload_pipeline_version(str(path), name, pipeline_id=pipeline.pipeline_id)
        except RefusedError as error:
            # Another submission of the same was faster.
            found = _find_version(client, pipeline, name) if error.status == CONFLICT else None
            if found is None:
                raise
            return found


def _new_pipeline(client: kfp.client.Client) -> V2beta1Pipeline:
    """Without a version: uploading one along would call it after the pipeline and not after its content."""
    new = V2beta1Pipeline(display_name=PIPELINE_NAME, namespace=client.get_user_namespace() or None)
    try:
        return client.pipelines.pipeline_service_create_pipeline(pipeline=new)
    except RefusedError as error:
        found = find_pipeline(client) if error.status == CONFLICT else None
        if found is None:
            raise
        return found


def _find_version(client: kfp.client.Client, pipeline: V2beta1Pipeline, name: str) -> V2beta1PipelineVersion | None:
    def ask(token: str) -> Any:
        return client.list_pipeline_versions(
            pipeline.pipeline_id, page_token=token, page_size=PAGE_SIZE, sort_by="created_at desc"
        )

    return next((found for found in pages(ask, field="pipeline_versions") if found.display_name == name), None)
