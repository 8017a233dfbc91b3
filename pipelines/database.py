"""The MLMD database of a workspace: opening it, and tidying up after a run that was killed."""

from __future__ import annotations

import json
import pathlib
import shutil

from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2 as pb

UNFINISHED = (pb.Execution.NEW, pb.Execution.RUNNING)


def open_store(path: pathlib.Path) -> metadata_store.MetadataStore:
    """Opens the SQLite file, making it where there is none."""
    config = pb.ConnectionConfig()
    config.sqlite.filename_uri = str(path)
    config.sqlite.connection_mode = pb.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
    return metadata_store.MetadataStore(config)


def tidy(metadata: pathlib.Path, *, artifacts: pathlib.Path) -> int:
    """Makes the next run start from what is really there; only while nobody else runs in the workspace.

    Executions that a killed run left unfinished become CANCELED and what they had written is deleted (their work
    lives on in the stores). A publication that was deleted by hand is no longer a cached result.

    Returns:
        How many executions were unfinished.
    """
    if not metadata.is_file():
        return 0
    store = open_store(metadata)
    unfinished = [execution for execution in store.get_executions() if execution.last_known_state in UNFINISHED]
    for execution in unfinished:
        for left in _outputs(artifacts, execution.id):
            shutil.rmtree(left, ignore_errors=True)
        execution.last_known_state = pb.Execution.CANCELED
    if unfinished:
        store.put_executions(unfinished)
    gone = [artifact for artifact in _pushed(store) if not _is_published(artifact)]
    for artifact in gone:
        artifact.state = pb.Artifact.DELETED
    if gone:
        store.put_artifacts(gone)
    return len(unfinished)


def _outputs(artifacts: pathlib.Path, execution_id: int) -> list[pathlib.Path]:
    """TFX writes to <node>/<output>/<execution> and <node>/.system/<kind>/<execution>."""
    return [*artifacts.glob(f"*/*/{execution_id}"), *artifacts.glob(f"*/.system/*/{execution_id}")]


def _pushed(store: metadata_store.MetadataStore) -> list[pb.Artifact]:
    if not any(kind.name == "PushedModel" for kind in store.get_artifact_types()):
        return []
    return [artifact for artifact in store.get_artifacts_by_type("PushedModel") if artifact.state == pb.Artifact.LIVE]


def _is_published(artifact: pb.Artifact) -> bool:
    published = json.loads(artifact.custom_properties["published"].string_value or "{}")
    return all((pathlib.Path(path) / "model.json").is_file() for path in published.values())
