"""The process that trains one group: forked from a server that has imported TensorFlow but run nothing yet.

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
from tinytimbre.config import SweepConfig
from tinytimbre.storage import StorageError
from tinytimbre.sweep.accounts import Stopwatch
from tinytimbre.sweep.limits import watch_memory
from tinytimbre.sweep.plan import Trial
from tinytimbre.sweep.rung import DISK_FULL_EXIT, OUT_OF_MEMORY_EXIT
from tinytimbre.sweep.store import TrialStore
from tinytimbre.sweep.trainer import train_trials


def run_group(
    trials: Sequence[Trial],
    *,
    rung: int,
    target_step: int,
    features_dir: str,
    store: TrialStore,
    config: SweepConfig,
    threads: int,
    reports: multiprocessing.connection.Connection,
    asked: float,
) -> None:
    """Trains the trials.

    Sends through `reports` each number of finished trial steps, and last a dictionary of seconds by part of the work
    (`accounts.PARTS`); `asked` is the monotonic time at which the parent wanted this process.
    """
    clock = Stopwatch()
    clock.seconds["start"] = time.monotonic() - asked
    live_with_parent()
    set_up_tensorflow(threads=threads)
    if config.budget.worker_memory_mb is not None:
        watch_memory(config.budget.worker_memory_mb * 1_000_000, exceeded=lambda: os._exit(OUT_OF_MEMORY_EXIT))
    with _shortage_ends_quietly(reports), contextlib.ExitStack() as locks:
        with clock.part("waiting"):
            locks.enter_context(store.lock(*(trial.trial_id for trial in trials)))
        for group in _same_step(trials, rung=rung, store=store):
            train_trials(
                group,
                rung=rung,
                target_step=target_step,
                features_dir=features_dir,
                store=store,
                config=config,
                on_step=reports.send,
                clock=clock,
            )
        reports.send(dict(clock.seconds))


def set_up_tensorflow(*, threads: int) -> None:
    """As every worker does, before its first operation."""
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    # Grappler takes a third of the time to the first step and makes no later one faster.
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})


def _same_step(trials: Sequence[Trial], *, rung: int, store: TrialStore) -> list[list[Trial]]:
    """Unfinished trials grouped by where they stand: a kill may have fallen between two checkpoints."""
    groups: dict[int, list[Trial]] = {}
    for trial in trials:
        if store.result(trial.trial_id, rung) is None:
            checkpoint = store.checkpoint(trial.trial_id)
            groups.setdefault(0 if checkpoint is None else checkpoint[0], []).append(trial)
    return list(groups.values())


@contextlib.contextmanager
def _shortage_ends_quietly(reports: multiprocessing.connection.Connection) -> Iterator[None]:
    """Tells the parent by the exit code, or what it will say; any other error ends the process with its traceback."""
    try:
        yield
    except (MemoryError, tf.errors.ResourceExhaustedError):
        os._exit(OUT_OF_MEMORY_EXIT)
    except StorageError as error:
        reports.send(error)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            os._exit(DISK_FULL_EXIT)
        raise
