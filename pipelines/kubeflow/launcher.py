"""What Kubeflow's launcher tells a container, in terms that TFX understands, and TFX's answer in those of the launcher.

Before a container starts, the launcher downloads its input artifacts to local paths that follow from their URIs
(``LocalPathForURI`` in the launcher's ``launcher_v2.go``); afterwards it uploads the outputs from such paths. TFX
works with the paths and knows none of the URIs. It also needs the types of the artifacts, which the launcher leaves
out for inputs.
"""

from __future__ import annotations

import pathlib
from collections.abc import Iterator, Mapping

from kfp.pipeline_spec import pipeline_spec_pb2 as pb

from tinytimbre.errors import TinyTimbreError
from tinytimbre.storage import is_address, located

MOUNTS = {"minio://": "minio", "s3://": "s3", "gs://": "gcs"}
"""Scheme → folder below the root of the file system."""

EXECUTOR_LOGS = "executor-logs"
"""An output that newer launchers add for themselves; its type means nothing to TFX."""

FOLDERS = ("folder", "cache", "boards")
"""Parameters of the components that are folders on the volume."""

PLACES = ("publish_to", "store")
"""Those that may also be addresses of object stores, which the components reach themselves."""


def local_path(uri: str, *, root: pathlib.Path) -> pathlib.Path:
    """Where the launcher keeps what is at `uri`; an absolute path is its own.

    Args:
        uri: of an artifact.
        root: of the file system; another one in tests.

    Raises:
        TinyTimbreError: the launcher keeps no copy of such a URI, or it names a whole bucket.
    """
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    if f"{scheme}://" in MOUNTS and bucket and key.strip("/") and ".." not in key.split("/"):
        return root / MOUNTS[f"{scheme}://"] / bucket / key
    if not rest and pathlib.PurePath(uri).is_absolute() and len(pathlib.PurePath(uri).parts) > 2:
        return pathlib.Path(uri)
    raise TinyTimbreError(
        f"artifacts must lie below {', '.join(MOUNTS)}<bucket>/<folder>",
        got=uri,
        remedy="submit the run with such a pipeline root",
    )


def with_types(found: pb.ExecutorInput, *, spec: pb.ComponentInputsSpec) -> pb.ExecutorInput:
    """`found` with the types of its input artifacts as the component declares them, and without the launcher's logs."""
    result = pb.ExecutorInput()
    result.CopyFrom(found)
    for key, artifact in _artifacts(result.inputs.artifacts):
        if key in spec.artifacts:
            artifact.type.CopyFrom(spec.artifacts[key].artifact_type)
    result.outputs.artifacts.pop(EXECUTOR_LOGS, None)
    return result


def with_local_paths(found: pb.ExecutorInput, *, root: pathlib.Path) -> pb.ExecutorInput:
    """`found` with paths in the place of URIs; ``custom_path`` is where the launcher says an input is.

    Raises:
        TinyTimbreError: see `local_path`.
    """
    result = pb.ExecutorInput()
    result.CopyFrom(found)
    for _, artifact in _artifacts(result.inputs.artifacts):
        artifact.uri = artifact.custom_path or str(local_path(artifact.uri, root=root))
    for _, artifact in _artifacts(result.outputs.artifacts):
        artifact.uri = str(local_path(artifact.uri, root=root))
    return result


def with_uris(answer: pb.ExecutorOutput, *, asked: pb.ExecutorInput) -> pb.ExecutorOutput:
    """TFX's answer with the URIs of the launcher's outputs: from elsewhere it would, without a word, upload nothing."""
    result = pb.ExecutorOutput()
    result.CopyFrom(answer)
    for key, artifacts in result.artifacts.items():
        for artifact, origin in zip(artifacts.artifacts, asked.outputs.artifacts[key].artifacts, strict=True):
            artifact.uri = origin.uri
    return result


def output_folders(local: pb.ExecutorInput) -> list[pathlib.Path]:
    """Folders of the output artifacts, once URIs are paths."""
    return [pathlib.Path(artifact.uri) for _, artifact in _artifacts(local.outputs.artifacts)]


def check_places(found: pb.ExecutorInput) -> None:
    """Whether the places that a run may choose are paths, or addresses where these are possible.

    Raises:
        TinyTimbreError: one is something else.
    """
    for name in (*FOLDERS, *PLACES):
        value = found.inputs.parameter_values[name].string_value if name in found.inputs.parameter_values else "/"
        if name in PLACES and is_address(value):
            located(value)
        elif not value.startswith("/"):
            raise TinyTimbreError(
                "recordings and caches must be folders on the mounted volume, models and trials there or at an address",
                got=f"{name} = {value!r}",
                remedy="give a path below kubeflow.mount_path, such as /workspace/recordings; models may go to s3://…",
            )


def _artifacts(lists: Mapping[str, pb.ArtifactList]) -> Iterator[tuple[str, pb.RuntimeArtifact]]:
    for key in lists:
        for artifact in lists[key].artifacts:
            yield key, artifact
