"""A process that works on group after group: forked from a server that has imported TensorFlow but run nothing yet.

It ignores Ctrl-C (its parent decides) and ends by itself when its parent is gone.
"""

from __future__ import annotations

import contextlib
import errno
import multiprocessing
import multiprocessing.connection
import os
import time
from collections.abc import Callable, Iterator, Sequence

import tensorflow as tf
import threadpoolctl

from tinytimbre.child import live_with_parent
from tinytimbre.sweep.accounts import Stopwatch
from tinytimbre.sweep.limits import watch_memory
from tinytimbre.sweep.plan import Trial
from tinytimbre.sweep.processes import DISK_FULL_EXIT, OUT_OF_MEMORY_EXIT, Work
from tinytimbre.sweep.store import TrialStore

REPORT_SECS = 0.5


def do_groups(*, work: Work, threads: int, channel: multiprocessing.connection.Connection) -> None:
    """Does the work with what comes through `channel` until its other end is gone.

    A group comes as its trials and the monotonic time at which the parent asked for it. Numbers of finished trial
    steps go back, and last a dictionary of seconds by part of the work (`accounts.PARTS`).
    """
    live_with_parent()
    set_up_tensorflow(threads=threads)
    limit_mb = work.config.budget.worker_memory_mb
    if limit_mb is not None:
        watch_memory(limit_mb * 1_000_000, exceeded=lambda: os._exit(OUT_OF_MEMORY_EXIT))
    with _shortage_ends_quietly():
        for trials, asked in _groups(channel):
            clock = Stopwatch()
            clock.seconds["start"] = time.monotonic() - asked
            with _held(trials, store=work.store, clock=clock), _reporting(channel) as on_step:
                for group in _same_step(trials, work=work):
                    work.do(group, on_step=on_step, clock=clock)
            channel.send(dict(clock.seconds))


def _groups(channel: multiprocessing.connection.Connection) -> Iterator[tuple[list[Trial], float]]:
    with contextlib.suppress(EOFError):
        while True:
            yield channel.recv()


@contextlib.contextmanager
def _held(trials: Sequence[Trial], *, store: TrialStore, clock: Stopwatch) -> Iterator[None]:
    with contextlib.ExitStack() as locks:
        # Sorted, so that two sweeps that share trials never wait for each other in a circle.
        with clock.part("waiting"):
            for trial in sorted(trials, key=lambda trial: trial.trial_id):
                locks.enter_context(store.lock(trial.trial_id))
        yield


@contextlib.contextmanager
def _reporting(channel: multiprocessing.connection.Connection) -> Iterator[Callable[[int], None]]:
    """Takes numbers of steps and sends their sum every now and then: a message each would keep the parent awake."""
    steps, sent = 0, time.monotonic()

    def on_step(count: int) -> None:
        nonlocal steps, sent
        steps += count
        if time.monotonic() - sent > REPORT_SECS:
            channel.send(steps)
            steps, sent = 0, time.monotonic()

    yield on_step
    channel.send(steps)


def set_up_tensorflow(*, threads: int) -> None:
    """As every worker does, before its first operation."""
    # NumPy's products too: where there are as many workers as cores, its threads wait for each other's ends.
    threadpoolctl.threadpool_limits(threads)
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    keep_graphs()


def keep_graphs() -> None:
    """Has TensorFlow run graphs as they are.

    Rewriting them takes a third of the time to the first step and makes no later one faster; and what it fuses, and so
    how results are rounded, would depend on the models that are trained beside.
    """
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
