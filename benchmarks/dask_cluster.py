"""A small Dask cluster on this machine: a scheduler and workers, each a process as on a machine of its own."""

from __future__ import annotations

import contextlib
import os
import pathlib
import sys
from collections.abc import Iterator

from distributed import Client

from benchmarks.processes import session

ROOT = pathlib.Path(__file__).resolve().parents[1]
DASK_RUNNER = "--runner=apache_beam.runners.dask.dask_runner.DaskRunner"
READY_WITHIN_SECS = 300


@contextlib.contextmanager
def dask_cluster(folder: pathlib.Path, *, workers: int) -> Iterator[pathlib.Path]:
    """Gives the file by which clients find the scheduler, once all workers are there; ends with them.

    Args:
        folder: for that file, logs and what workers spill.
        workers: of one thread each.
    """
    file = folder / "scheduler.json"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder)}
    common = ["--no-dashboard", "--scheduler-file", str(file)]
    scheduler = ["dask_scheduler", "--host", "127.0.0.1", "--port", "0", *common]
    worker = ["dask_worker", "--nthreads", "1", "--no-nanny", *common]
    with contextlib.ExitStack() as stack:
        for program, *arguments in (scheduler, *[worker] * workers):
            command = [sys.executable, "-m", f"distributed.cli.{program}", *arguments]
            stack.enter_context(session(command, log=folder / "dask.log", env=environment, cwd=folder))
        with Client(scheduler_file=str(file), timeout=READY_WITHIN_SECS) as client:
            client.wait_for_workers(workers, timeout=READY_WITHIN_SECS)
        yield file
