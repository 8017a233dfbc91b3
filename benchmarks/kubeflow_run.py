"""A compiled pipeline run to its end: every task a process of its own, started with the command that the file names.

    run = SimulatedRun(compiled.pipeline, root=..., pipeline_root="s3://bucket/runs", parameters={...})
    complete(run, logs=folder)

Tasks that do not wait for each other run side by side.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import sys
import time
from collections.abc import Collection, Iterator

from benchmarks.processes import Session, session
from benchmarks.simulated_kubeflow import SimulatedRun
from pipelines.kubeflow.entry_point import ROOT_VARIABLE
from tinytimbre.errors import TinyTimbreError

ROOT = pathlib.Path(__file__).resolve().parents[1]
POLL_SECS = 0.05
RUN_LOG = "run.log"


def complete(run: SimulatedRun, *, logs: pathlib.Path, without: Collection[str] = (), at_a_time: int = 2) -> None:
    """Runs all tasks that are not done yet.

    Args:
        run: knows what is done.
        logs: takes a file per task and ``run.log``.
        without: tasks that are not started; nor is what waits for them.
        at_a_time: most processes.

    Raises:
        TinyTimbreError: a task failed.
    """
    tasks = run.spec.root.dag.tasks
    with contextlib.ExitStack() as stack:
        running: dict[str, tuple[Session, float]] = {}
        while True:
            waiting = [task for task in tasks if task not in run.done and task not in running and task not in without]
            ready = [task for task in waiting if set(tasks[task].dependent_tasks) <= set(run.done)]
            for task in ready[: at_a_time - len(running)]:
                running[task] = stack.enter_context(started(run, task, logs=logs)), time.monotonic()
            if not running:
                return
            time.sleep(POLL_SECS)
            for task, (process, began) in list(running.items()):
                code = process.wait(timeout_secs=0)
                if code is not None:
                    del running[task]
                    note(logs, f"{task}: exit code {code} after {time.monotonic() - began:.1f} s")
                    _require_success(code, task, logs)
                    run.finish(task)


@contextlib.contextmanager
def started(run: SimulatedRun, task: str, *, logs: pathlib.Path) -> Iterator[Session]:
    """The process of a task, with a pod's file system for its root; killed on leaving, if it still runs."""
    container = run.container(task)
    assert container.command[0] == "python"
    command = [sys.executable, *container.command[1:], *run.arguments(task)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), ROOT_VARIABLE: str(run.pod(task))}
    environment.pop("TF_USE_LEGACY_KERAS", None)  # the entry point sets it
    environment |= {variable.name: variable.value for variable in container.env}
    note(logs, f"{task}: {' '.join(container.command)}")
    with session(command, log=logs / f"{task}.log", env=environment, cwd=run.root) as process:
        yield process


def note(logs: pathlib.Path, text: str) -> None:
    """A line with the time in the log of the run."""
    logs.mkdir(parents=True, exist_ok=True)
    with (logs / RUN_LOG).open("a") as file:
        file.write(f"{time.strftime('%H:%M:%S')} {text}\n")


def _require_success(code: int, task: str, logs: pathlib.Path) -> None:
    if code:
        said = (logs / f"{task}.log").read_text(errors="replace").strip()[-1_500:]
        raise TinyTimbreError("every task of the run must succeed", got=f"{task}: exit code {code}: {said}")
