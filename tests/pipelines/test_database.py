"""MLMD as a killed run leaves it."""

from __future__ import annotations

import json
import pathlib

from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2 as pb

from pipelines.database import open_store, tidy


def test_a_killed_execution_is_cancelled_and_its_output_deleted(tmp_path: pathlib.Path) -> None:
    store = open_store(tmp_path / "metadata.sqlite")
    done, killed = _execution(store, pb.Execution.COMPLETE), _execution(store, pb.Execution.RUNNING)
    outputs = [tmp_path / "artifacts" / "Node" / "out" / str(number) for number in (done, killed)]
    system = tmp_path / "artifacts" / "Node" / ".system" / "executor_execution" / str(killed)
    for folder in (*outputs, system):
        folder.mkdir(parents=True)
        (folder / "half").touch()
    assert tidy(tmp_path / "metadata.sqlite", artifacts=tmp_path / "artifacts") == 1
    states = {e.id: e.last_known_state for e in open_store(tmp_path / "metadata.sqlite").get_executions()}
    assert states == {done: pb.Execution.COMPLETE, killed: pb.Execution.CANCELED}
    assert [folder.exists() for folder in outputs] == [True, False]
    assert not system.exists()


def test_a_publication_that_is_gone_is_not_cached(tmp_path: pathlib.Path) -> None:
    store = open_store(tmp_path / "metadata.sqlite")
    there = tmp_path / "models" / "a"
    there.mkdir(parents=True)
    (there / "model.json").touch()
    kept, gone = _pushed(store, {"a": str(there)}), _pushed(store, {"b": str(tmp_path / "models" / "b")})
    nothing = _pushed(store, {})
    tidy(tmp_path / "metadata.sqlite", artifacts=tmp_path)
    states = {artifact.id: artifact.state for artifact in store.get_artifacts()}
    assert states == {kept: pb.Artifact.LIVE, gone: pb.Artifact.DELETED, nothing: pb.Artifact.LIVE}


def test_a_new_workspace_has_nothing_to_tidy(tmp_path: pathlib.Path) -> None:
    assert tidy(tmp_path / "metadata.sqlite", artifacts=tmp_path) == 0
    assert not (tmp_path / "metadata.sqlite").exists()


def _execution(store: metadata_store.MetadataStore, state: int) -> int:
    kind = store.put_execution_type(pb.ExecutionType(name="Node"))
    (number,) = store.put_executions([pb.Execution(type_id=kind, last_known_state=state)])
    return int(number)


def _pushed(store: metadata_store.MetadataStore, published: dict[str, str]) -> int:
    kind = store.put_artifact_type(pb.ArtifactType(name="PushedModel"))
    artifact = pb.Artifact(type_id=kind, state=pb.Artifact.LIVE, uri=f"/{len(store.get_artifacts())}")
    artifact.custom_properties["published"].string_value = json.dumps(published)
    (number,) = store.put_artifacts([artifact])
    return int(number)
