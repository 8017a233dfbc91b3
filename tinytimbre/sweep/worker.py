"""The process that works on one group of trials: forked from a server that has imported TensorFlow but run nothing yet.

It ignores Ctrl-C (its parent decides) and ends by itself when its parent is gone.
"""

from __future__ import annotations

import contextlib
import errno
import multiprocessing
import multiprocessing.connection
import os
import time
from collections.abc import Iterator, Sequence

import tensorflow as tf

from tinytimbre.child import live_with_parent
from tinytimbre.sweep.accounts import Stopwatch
from tinytimbre.sweep.limits import watch_memory
from tinytimbre.sweep.plan import Trial
from tinytimbre.sweep.processes import DISK_FULL_EXIT, OUT_OF_MEMORY_EXIT, Work


def run_group(
    trials: Sequence[Trial],
    *,
    work: Work,
    threads: int,
    reports: multiprocessing.connection.Connection,
    asked: float,
) -> None:
    """Does the work with the trials that have no result yet.

    Sends through `reports` each number of finished trial steps, and last a dictionary of seconds by part of the work
    (`accounts.PARTS`); `asked` is the monotonic time at which the parent wanted this process.
    """
    clock = Stopwatch()
    clock.seconds["start"] = time.monotonic() - asked
    live_with_parent()
    set_up_tensorflow(threads=threads)
    limit_mb = work.config.budget.worker_memory_mb
    if limit_mb is not None:
        watch_memory(limit_mb * 1_000_000, exceeded=lambda: os._exit(OUT_OF_MEMORY_EXIT))
    with _shortage_ends_quietly(), contextlib.ExitStack() as locks:
        # Sorted, so that two sweeps that share trials never wait for each other in a circle.
        with clock.part("waiting"):
            for trial in sorted(trials, key=lambda trial: trial.trial_id):
                locks.enter_context(work.store.lock(trial.trial_id))
        for group in _same_step(trials, work=work):
            work.do(group, on_step=reports.send, clock=clock)
        reports.send(dict(clock.seconds))


def set_up_tensorflow(*, threads: int) -> None:
    """As every worker does, before its first operation."""
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    # Grappler takes a third of the time to the first step and makes no later one faster.
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})


def _same_step(trials: Sequence[Trial], *, work: Work) -> list[list[Trial]]:
    """Unfinished trials grouped by where they stand: a kill may have fallen between two checkpoints."""
    groups: dict[int, list[Trial]] = {}
    for trial in trials:
        if not work.is_finished(trial):
            groups.setdefault(work.reached(trial), []).append(trial)
    return list(groups.values())


@contextlib.contextmanager
def _shortage_ends_quietly() -> Iterator[None]:
    """Tells the parent by the exit code; any other error ends the process with its traceback."""
    try:
        yield
    except (MemoryError, tf.errors.ResourceExhaustedError):
        os._exit(OUT_OF_MEMORY_EXIT)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            os._exit(DISK_FULL_EXIT)
        raise
