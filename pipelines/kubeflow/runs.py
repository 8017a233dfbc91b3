"""What Kubeflow Pipelines knows of a run, in the terms of `tinytimbre status`.

The backend lists the nodes of the workflow that it made: for every task a driver (``<task>-driver``), a node that
groups what belongs to it (``<task>``) and a pod (``executor``), around all of them ``root``.
"""

from __future__ import annotations

import dataclasses
import datetime
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import kfp.client
from kfp_server_api import V2beta1PipelineTaskDetail, V2beta1Run

from pipelines.kubeflow.connection import NOT_FOUND, RefusedError, pages
from pipelines.kubeflow.submission import find_pipeline
from tinytimbre.errors import TinyTimbreError

DRIVER, ROOT, POD = "-driver", "root", "executor"
FINISHED = ("SUCCEEDED", "FAILED", "SKIPPED", "CANCELED")
PAGE_SIZE = 50


@dataclasses.dataclass(frozen=True)
class Stage:
    """One task; ``state`` is Kubeflow's, or CACHED; ``seconds`` only of one that has ended."""

    name: str
    state: str
    seconds: float | None = None
    error: str = ""
    pods: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Run:
    """One run."""

    run_id: str
    name: str
    state: str
    created: datetime.datetime | None
    error: str
    pipeline_root: str
    stages: tuple[Stage, ...]

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""
        return self.state in FINISHED


def read_run(client: kfp.client.Client, run_id: str) -> Run:
    """A run with its stages, in the order they started.

    Raises:
        TinyTimbreError: the server knows no such run.
    """
    try:
        return _run(client.get_run(run_id))
    except RefusedError as error:
        if error.status != NOT_FOUND:
            raise
        raise TinyTimbreError(
            "a run must be one that the server knows",
            got=f"no run {run_id}",
            cause="another server, or a run that was deleted",
            remedy="`tinytimbre status --host URL` lists the runs",
        ) from error


def latest_runs(client: kfp.client.Client, *, limit: int) -> list[Run]:
    """The newest runs of our pipeline, newest first, without their stages."""
    pipeline = find_pipeline(client)
    if pipeline is None:
        return []
    namespace = client.get_user_namespace() or None

    def ask(token: str) -> Any:
        return client.list_runs(page_token=token, page_size=PAGE_SIZE, sort_by="created_at desc", namespace=namespace)

    own = (run for run in pages(ask, field="runs") if _pipeline_id(run) == pipeline.pipeline_id)
    return [_run(run) for run in itertools.islice(own, limit)]


def _pipeline_id(run: V2beta1Run) -> str | None:
    reference = run.pipeline_version_reference
    return reference.pipeline_id if reference else None


def _run(found: V2beta1Run) -> Run:
    details = found.run_details.task_details if found.run_details else None
    history = [status.error for status in found.state_history or () if status.error]
    return Run(
        run_id=found.run_id,
        name=found.display_name or "",
        state=found.state or "PENDING",
        created=found.created_at,
        error=_message(found.error or (history[-1] if history else None)),
        pipeline_root=(found.runtime_config.pipeline_root if found.runtime_config else None) or "",
        stages=tuple(_stages(details or [])),
    )


def _stages(nodes: Sequence[V2beta1PipelineTaskDetail]) -> Iterator[Stage]:
    """One per task, from its driver and the node that groups it."""
    named = {node.display_name or "": node for node in nodes}
    drivers = {name.removesuffix(DRIVER): node for name, node in named.items() if name.endswith(DRIVER)}
    # A backend without drivers of their own lists nothing but tasks.
    tasks = set(drivers or named) - {ROOT, POD, ""}
    own = [(name, [node for node in (drivers.get(name), named.get(name)) if node is not None]) for name in tasks]
    for name, parts in sorted(own, key=lambda entry: (_started(entry[1][0]), entry[0])):
        yield _stage(name, parts, nodes=nodes)


def _stage(
    name: str, parts: Sequence[V2beta1PipelineTaskDetail], *, nodes: Sequence[V2beta1PipelineTaskDetail]
) -> Stage:
    last = parts[-1]
    pods = [child.pod_name for child in last.child_tasks or () if child.pod_name]
    errors = [_message(status.error) for status in last.state_history or () if status.error]
    state = last.state or "PENDING"
    if len(parts) == 1 and (last.display_name or "").endswith(DRIVER) and state != "FAILED":
        state = "PENDING"  # the driver has ended or not, the task has not begun
    elif state == "SUCCEEDED" and _all_skipped(nodes, pods):
        state = "CACHED"
    ended = state in FINISHED and _started(last) and _time(last.end_time) >= _started(last)
    return Stage(
        name=name,
        state=state,
        seconds=_time(last.end_time) - _started(parts[0]) if ended else None,
        error=_message(last.error) or (errors[-1] if errors else ""),
        pods=tuple(pods),
    )


def _all_skipped(nodes: Sequence[V2beta1PipelineTaskDetail], pods: Sequence[str]) -> bool:
    """Whether no pod of a task ran; older backends leave their names out, and then it is unknown."""
    states = {node.state for node in nodes if node.pod_name in pods}
    return states == {"SKIPPED"}


def _started(node: V2beta1PipelineTaskDetail) -> float:
    return _time(node.start_time)


def _time(moment: datetime.datetime | None) -> float:
    """Seconds since 1970, which is also how the backend says "not yet"."""
    return moment.timestamp() if moment else 0.0


def _message(status: Any) -> str:
    return str(status.message or "") if status else ""
