"""What MLMD knows: which executions ran, and what a model was made from.

The database is read into three tables and filtered here; MLMD's own query language is missing from some builds.

    history = History.read(workspace.metadata)
    history.lineage_of(pushed_id)     # recordings → features → … → model
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Iterable
from typing import Any

import pandas as pd
from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2 as pb

from pipelines.database import open_store
from tinytimbre.errors import TinyTimbreError

ORDER = ("Recordings", "Features", "SweepPlan", "Trials", "WebModels", "SweepReport", "Selection", "PushedModel")
ARTIFACT_COLUMNS = ("id", "type", "uri", "created", "properties")
EXECUTION_COLUMNS = ("id", "node", "run", "state", "started", "ended", "config")
EVENT_COLUMNS = ("execution", "artifact", "output")


@dataclasses.dataclass(frozen=True)
class History:
    """Artifacts, executions and the events between them; times in seconds since 1970.

    ``executions.config`` is the JSON of what a component was given of the configuration.
    """

    artifacts: pd.DataFrame
    executions: pd.DataFrame
    events: pd.DataFrame

    @classmethod
    def read(cls, path: pathlib.Path) -> History:
        """Reads an MLMD database."""
        store = open_store(path)
        types = {kind.id: kind.name for kind in store.get_artifact_types()}
        artifacts = [_artifact(artifact, types) for artifact in store.get_artifacts()]
        executions = _executions(store)
        ids = [execution["id"] for execution in executions]
        events = [_event(event) for event in store.get_events_by_execution_ids(ids)] if ids else []
        return cls(
            artifacts=pd.DataFrame(artifacts, columns=list(ARTIFACT_COLUMNS)),
            executions=pd.DataFrame(executions, columns=list(EXECUTION_COLUMNS)),
            events=pd.DataFrame(events, columns=list(EVENT_COLUMNS)),
        )

    def latest_run(self) -> str | None:
        """Name of the run that was started last."""
        return None if self.executions.empty else str(self.executions.sort_values("id")["run"].iloc[-1])

    def run(self, name: str) -> pd.DataFrame:
        """Executions of a run in the order they started."""
        return self.executions[self.executions["run"] == name].sort_values("id")

    def latest(self, kind: str, *, run: str | None = None) -> dict[str, Any] | None:
        """The newest finished artifact of a type (of a run, if named), as a dictionary of its columns."""
        finished = self.executions[self.executions["state"].isin(["COMPLETE", "CACHED"])]
        if run is not None:
            finished = finished[finished["run"] == run]
        made = self.events[self.events["output"] & self.events["execution"].isin(finished["id"])]
        of_kind = self.artifacts[self.artifacts["type"] == kind]
        found = made.merge(of_kind, left_on="artifact", right_on="id").sort_values("execution")
        return None if found.empty else {str(key): value for key, value in found.iloc[-1].items()}

    def lineage_of(self, artifact_id: int) -> pd.DataFrame:
        """The artifact and everything it was made from, recordings first."""
        known, frontier = {artifact_id}, {artifact_id}
        while frontier:
            frontier = self._inputs_of(frontier) - known
            known |= frontier
        chain = self.artifacts[self.artifacts["id"].isin(known)]
        order = {name: position for position, name in enumerate(ORDER)}
        return chain.assign(order=chain["type"].map(order).fillna(len(ORDER))).sort_values(["order", "id"])

    def _inputs_of(self, artifact_ids: Iterable[int]) -> set[int]:
        """What the executions that first made these artifacts had read; cached ones made nothing new."""
        makers = self.makers_of(artifact_ids)["id"]
        inputs = self.events[~self.events["output"] & self.events["execution"].isin(makers)]
        return {int(artifact) for artifact in inputs["artifact"]}

    def makers_of(self, artifact_ids: Iterable[int]) -> pd.DataFrame:
        """The executions that first made these artifacts."""
        made = self.events[self.events["output"] & self.events["artifact"].isin(list(artifact_ids))]
        first = made.sort_values("execution").groupby("artifact")["execution"].first()
        return self.executions[self.executions["id"].isin(first)]


@dataclasses.dataclass(frozen=True)
class ModelLineage:
    """Where a published model comes from."""

    instrument: str
    published: str
    candidate_id: str
    trial_id: str
    features_fingerprint: str
    recording_ids: tuple[str, ...]
    artifacts: tuple[str, ...]


def published_models(history: History) -> list[ModelLineage]:
    """Every published model with its lineage, newest publication of each instrument last."""
    pushed = history.artifacts[history.artifacts["type"] == "PushedModel"].sort_values("id")
    return [
        lineage
        for artifact_id, properties in zip(pushed["id"], pushed["properties"], strict=True)
        for lineage in _lineages(history, int(artifact_id), properties)
    ]


def _lineages(history: History, artifact_id: int, properties: dict[str, Any]) -> list[ModelLineage]:
    published = json.loads(properties.get("published", "{}"))
    if not published:
        return []
    chain = history.lineage_of(artifact_id)
    candidates = json.loads(properties.get("candidates", "{}"))
    return [
        ModelLineage(
            instrument=instrument,
            published=path,
            candidate_id=candidates[instrument],
            trial_id=candidates[instrument].rpartition("-")[0],
            features_fingerprint=_fingerprint(chain, instrument),
            recording_ids=_recording_ids(chain, instrument),
            artifacts=tuple(f"{kind} {number}" for kind, number in zip(chain["type"], chain["id"], strict=True)),
        )
        for instrument, path in sorted(published.items())
    ]


def _fingerprint(chain: pd.DataFrame, instrument: str) -> str:
    properties = _only(chain, "Features")["properties"]
    return str(json.loads(properties["fingerprints"])[instrument])


def _recording_ids(chain: pd.DataFrame, instrument: str) -> tuple[str, ...]:
    """From the artifact's file; empty where somebody has deleted it."""
    path = pathlib.Path(_only(chain, "Recordings")["uri"]) / "recordings.json"
    if not path.is_file():
        return ()
    listed = json.loads(path.read_text())["recordings"]
    return tuple(r["recording_id"] for r in listed if r["instrument"] == instrument and r["split"])


def _only(chain: pd.DataFrame, kind: str) -> dict[str, Any]:
    own = chain[chain["type"] == kind]
    if own.empty:
        raise TinyTimbreError(f"a published model must descend from {kind}", got="MLMD knows none")
    return {str(key): value for key, value in own.iloc[-1].items()}


def _artifact(artifact: pb.Artifact, types: dict[int, str]) -> dict[str, Any]:
    return {
        "id": artifact.id,
        "type": types[artifact.type_id].removeprefix("components."),
        "uri": artifact.uri,
        "created": artifact.create_time_since_epoch / 1000,
        "properties": {key: _value(value) for key, value in artifact.custom_properties.items()},
    }


def _executions(store: metadata_store.MetadataStore) -> list[dict[str, Any]]:
    """With the names of the node and of the run, which MLMD keeps as contexts."""
    kinds = {kind.id: kind.name for kind in store.get_context_types()}
    rows = []
    for execution in store.get_executions():
        contexts = {kinds[c.type_id]: c.name for c in store.get_contexts_by_execution(execution.id)}
        rows.append(
            {
                "id": execution.id,
                "node": contexts.get("node", "").partition(".")[2],
                "run": contexts.get("pipeline_run", ""),
                "state": pb.Execution.State.Name(execution.last_known_state),
                "started": execution.create_time_since_epoch / 1000,
                "ended": execution.last_update_time_since_epoch / 1000,
                "config": execution.custom_properties["config"].string_value,
            }
        )
    return rows


def _event(event: pb.Event) -> dict[str, Any]:
    output = event.type in (pb.Event.OUTPUT, pb.Event.DECLARED_OUTPUT)
    return {"execution": event.execution_id, "artifact": event.artifact_id, "output": output}


def _value(value: pb.Value) -> Any:
    field = value.WhichOneof("value")
    return getattr(value, field) if field else None
