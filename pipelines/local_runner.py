"""Runs the pipeline on this machine, with TFX's LocalDagRunner and MLMD in SQLite."""

from __future__ import annotations

import contextlib
import os
import pathlib
import sys
from collections.abc import Iterator, Sequence

from tfx.orchestration.local.local_dag_runner import LocalDagRunner

from components.resources import surroundings
from pipelines.database import tidy
from pipelines.failures import as_user_error
from pipelines.lineage import History
from pipelines.pipeline import Places, create_pipeline
from pipelines.workspace import Workspace
from tinytimbre.config import SweepConfig
from tinytimbre.errors import TinyTimbreError
from tinytimbre.storage import located
from tinytimbre.validation.chromium import find_chromium


def run_locally(
    config: SweepConfig,
    *,
    workspace: Workspace,
    recordings: pathlib.Path,
    recordings_digest: str,
    publish_to: str,
    jobs: int,
    shards: int = 1,
) -> History:
    """Runs the whole pipeline; gives what MLMD then knows. The workspace must be held by the caller.

    Args:
        config: the sweep.
        workspace: where everything is kept.
        recordings: folder with the recordings.
        recordings_digest: changes when the recordings do.
        publish_to: where models are published: a folder or an address.
        jobs: processes at a time.
        shards: nodes per rung; one is enough on one machine.

    Raises:
        TinyTimbreError: whatever a component says about its input; or one failed without saying so.
    """
    pipeline = create_pipeline(
        config,
        places=Places(
            recordings=str(recordings.resolve()),
            root=str(workspace.artifacts),
            trials=str(workspace.trials),
            cache=str(workspace.cache),
            boards=str(workspace.boards),
            publish_to=located(publish_to),
            metadata=str(workspace.metadata),
        ),
        recordings_digest=recordings_digest,
        shards=shards,
        browser=find_chromium() is not None,
    )
    tidy(workspace.metadata, artifacts=workspace.artifacts)
    with _surroundings(jobs=jobs, beam=config.beam):
        try:
            LocalDagRunner().run(pipeline)
        except Exception as error:
            known = as_user_error(error)
            if known is None:
                raise
            raise known from error
    history = History.read(workspace.metadata)
    _check(history)
    return history


@contextlib.contextmanager
def _surroundings(*, jobs: int, beam: Sequence[str]) -> Iterator[None]:
    """Sets what the executors read; TFX would parse our command line as its own."""
    variables = surroundings(jobs=jobs, beam=beam)
    arguments, before = sys.argv, {name: os.environ.get(name) for name in variables}
    sys.argv = arguments[:1]
    os.environ.update(variables)
    try:
        yield
    finally:
        sys.argv = arguments
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _check(history: History) -> None:
    """TFX's local runner can end normally although a node failed or never ran."""
    run = history.latest_run()
    nodes = history.run(run) if run else history.executions
    failed = nodes[~nodes["state"].isin(["COMPLETE", "CACHED"])]
    if nodes.empty or not failed.empty:
        named = ", ".join(f"{node} ({state})" for node, state in zip(failed["node"], failed["state"], strict=True))
        raise TinyTimbreError(
            "every component of a run must finish",
            got=named or "no execution at all",
            remedy="see the log in the workspace, then run the same command again",
        )
