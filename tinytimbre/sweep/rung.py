"""Runs one rung: groups of trials in parallel processes, each failure recorded without stopping the others."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import itertools
import math
import multiprocessing
import multiprocessing.connection
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from multiprocessing.context import ForkServerProcess

from tinytimbre.config import SweepConfig
from tinytimbre.errors import TinyTimbreError
from tinytimbre.progress import ProgressEvent, report
from tinytimbre.sweep.accounts import Ledger
from tinytimbre.sweep.plan import SweepPlan, Trial
from tinytimbre.sweep.store import RungResult, TrialStore

POLL_SECS = 0.5
GROUPS_PER_PROCESS = 4
"""Starting a process and reading the recordings is shared by so many; TensorFlow never gives a graph with gradients of
its own back, some 6 MB a model, so there is an end."""

OUT_OF_MEMORY_EXIT = errno.ENOMEM
"""What a worker ends with that could not have the memory it asked for, or more than it may."""

KILLED_EXIT = -9
DISK_FULL_EXIT = errno.ENOSPC
"""What a worker ends with when it cannot write, which is no trial's fault."""


def train_rung(
    plan: SweepPlan,
    *,
    trial_ids: Sequence[str],
    rung: int,
    features_dir: str,
    store: TrialStore,
    config: SweepConfig,
    jobs: int,
) -> list[RungResult]:
    """Trains the named trials to the end of a rung.

    Finished trials are taken from the store, unfinished ones continue from their checkpoints. Students are trained
    from their start to their end, and their results are those of the last rung.

    Args:
        plan: of the sweep.
        trial_ids: which trials take part; students only among themselves.
        rung: index into ``plan.rungs``.
        features_dir: a Features artifact.
        store: where trials live.
        config: the sweep.
        jobs: processes at a time, at least 1.

    Returns:
        One result per trial, in the order of `trial_ids`.

    Raises:
        TinyTimbreError: more than ``config.budget.max_failed_share`` of the trials failed (students do not count: what
            they are to improve on is there already), or the disk is full.
    """
    for trial_id in trial_ids:
        earlier = store.result(trial_id, rung)
        if earlier is not None and not earlier.repeatable:
            store.forget(trial_id, rung)
    wanted = set(trial_ids)
    missing = [t for t in plan.trials if t.trial_id in wanted and store.result(t.trial_id, rung) is None]
    if missing:
        _RungRun(plan, rung, features_dir, store, config, jobs).run(missing, total=len(trial_ids))
    results = [store.result(trial_id, rung) for trial_id in trial_ids]
    finished = [result for result in results if result is not None]
    students = {trial.trial_id for trial in plan.students}
    _check_failures([r for r in finished if r.trial_id not in students], config.budget.max_failed_share)
    return finished


def _check_failures(results: list[RungResult], max_share: float) -> None:
    failed = [result for result in results if result.status == "failed"]
    if results and len(failed) / len(results) > max_share:
        raise TinyTimbreError(
            f"at most {max_share:.0%} of the trials of a rung may fail (budget.max_failed_share)",
            got=f"{len(failed)} of {len(results)}; first: trial {failed[0].trial_id}: {failed[0].reason}",
            remedy="the finished trials are kept; remove the cause and run the same command again",
        )


@dataclasses.dataclass
class _Worker:
    """A process and the group it has at the moment, if any."""

    process: ForkServerProcess
    channel: multiprocessing.connection.Connection
    trials: list[Trial] = dataclasses.field(default_factory=list)
    asked: float = 0.0
    last_sign: float = 0.0
    given: int = 0
    seconds: dict[str, float] = dataclasses.field(default_factory=dict)

    def give(self, trials: list[Trial], *, asked: float) -> None:
        """Hands it a group; a process that is no more is noticed when it is collected."""
        self.trials, self.asked, self.last_sign, self.seconds = trials, asked, time.monotonic(), {}
        self.given += 1
        with contextlib.suppress(OSError):
            self.channel.send((trials, asked))

    def drain(self) -> int:
        """Steps done since the last call; takes the seconds that end a group."""
        steps = 0
        with contextlib.suppress(EOFError, OSError):
            while not self.seconds and self.channel.poll():
                message = self.channel.recv()
                if isinstance(message, dict):
                    self.seconds = message
                else:
                    steps += message
                self.last_sign = time.monotonic()
        return steps


@dataclasses.dataclass
class _RungRun:
    """State of a rung while it runs."""

    plan: SweepPlan
    rung: int
    features_dir: str
    store: TrialStore
    config: SweepConfig
    jobs: int
    workers: list[_Worker] = dataclasses.field(default_factory=list)
    again: list[list[Trial]] = dataclasses.field(default_factory=list)

    def run(self, trials: Sequence[Trial], *, total: int) -> None:
        """Trains all trials; a group that dies is split, so that only the culprit is lost."""
        first, self._target = self.plan.stretch(trials[0], rung=self.rung)
        self._label = "distilling" if trials[0].distillation else f"training rung {self.rung}"
        self._steps = (self._target - first) * total
        self._done = self._steps - sum(self._steps_left(trial) for trial in trials)
        ids = [trial.trial_id for trial in trials]
        self._ledger = Ledger(self.store.root, rung=self.rung, jobs=self.jobs, trial_ids=ids)
        waiting = list(side_by_side(trials, size=self.config.training.side_by_side, jobs=self.jobs))
        try:
            while waiting or self.again or self.workers:
                self._occupy(waiting)
                self._poll()
        finally:
            for worker in self.workers:
                worker.process.kill()

    def _steps_left(self, trial: Trial) -> int:
        checkpoint = self.store.checkpoint(trial.trial_id)
        return self._target - (checkpoint[0] if checkpoint else 0)

    def _occupy(self, waiting: list[list[Trial]]) -> None:
        """Gives every worker something to do; what died is tried again in a process of its own."""
        # The first launch waits for the server's imports, and so do the places of all others.
        asked = time.monotonic()
        for worker in [worker for worker in self.workers if not worker.trials]:
            if waiting and not self.again and worker.given < GROUPS_PER_PROCESS:
                worker.give(waiting.pop(0), asked=time.monotonic())
            else:
                self._dismiss(worker)
        while (self.again or waiting) and len(self.workers) < self.jobs:
            worker = self._launch()
            self.workers.append(worker)
            worker.give((self.again or waiting).pop(0), asked=asked)

    def _launch(self) -> _Worker:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["tinytimbre.sweep.worker"])
        ours, theirs = context.Pipe()
        process = context.Process(
            target=_train_groups,
            kwargs={
                "rung": self.rung,
                "target_step": self._target,
                "features_dir": str(self.features_dir),
                "store_root": str(self.store.root),
                "config": self.config,
                "threads": max(1, (os.cpu_count() or 1) // self.jobs),
                "channel": theirs,
            },
            daemon=True,
        )
        process.start()
        theirs.close()
        return _Worker(process, ours)

    def _dismiss(self, worker: _Worker) -> None:
        asked = time.monotonic()
        # It has written everything it had, and waits; taking leave in good order would take TensorFlow a while.
        worker.process.kill()
        worker.process.join()
        self.workers.remove(worker)
        self._ledger.add({"end": time.monotonic() - asked}, lifetime_secs=0.0)

    def _poll(self) -> None:
        """Reads progress, collects ended groups."""
        signs = [sign for worker in self.workers for sign in (worker.channel, worker.process.sentinel)]
        multiprocessing.connection.wait(signs, timeout=POLL_SECS)
        for worker in list(self.workers):
            self._done += worker.drain()
            if worker.seconds:
                self._finish(worker)
            elif not worker.process.is_alive() or self._hangs(worker):
                self._collect(worker)
        report(ProgressEvent(self._label, min(self._done, self._steps), self._steps, "steps"))

    def _hangs(self, worker: _Worker) -> bool:
        return time.monotonic() - worker.last_sign > self.config.budget.trial_timeout_secs

    def _finish(self, worker: _Worker) -> None:
        self._ledger.add(worker.seconds, lifetime_secs=time.monotonic() - worker.asked)
        worker.trials, worker.seconds = [], {}

    def _collect(self, worker: _Worker) -> None:
        """Trials without a result after their process ended: tried alone once more, then recorded as failed."""
        hung = worker.process.is_alive()
        if hung:
            worker.process.kill()
        worker.process.join()
        self.workers.remove(worker)
        self._done += worker.drain()
        self._ledger.add(worker.seconds, lifetime_secs=time.monotonic() - worker.asked)
        if worker.process.exitcode == DISK_FULL_EXIT:
            raise TinyTimbreError(
                "training needs room for checkpoints",
                got=f"no space left on the disk of {self.store.root}",
                remedy="free some space and run the same command again; everything up to the last checkpoints is kept",
            )
        lost = [trial for trial in worker.trials if self.store.result(trial.trial_id, self.rung) is None]
        if len(worker.trials) > 1 or worker.given > 1:
            self.again += [[trial] for trial in lost]
            return
        for trial in lost:
            self.store.write_result(self._failure(trial, hung=hung, exit_code=worker.process.exitcode))

    def _failure(self, trial: Trial, *, hung: bool, exit_code: int | None) -> RungResult:
        self.store.write_trial(trial)
        if hung:
            reason = f"no step finished within {self.config.budget.trial_timeout_secs:g} s (budget.trial_timeout_secs)"
        elif exit_code == OUT_OF_MEMORY_EXIT:
            limit = self.config.budget.worker_memory_mb
            allowed = f" beyond {limit} MB (budget.worker_memory_mb)" if limit else ""
            reason = f"out of memory{allowed}, even alone: smaller batches, shorter clips or a smaller decoder"
        elif exit_code == KILLED_EXIT:
            reason = "killed by the system, most likely out of memory: smaller batches, or fewer processes (--jobs)"
        else:
            reason = f"its process ended with exit code {exit_code}; see the log above"
        return RungResult(
            trial_id=trial.trial_id, rung=self.rung, step=0, status="failed", reason=reason, repeatable=False
        )


def side_by_side(trials: Iterable[Trial], *, size: int, jobs: int) -> Iterator[list[Trial]]:
    """Groups of one instrument each, at most `size` trials, of about the same work: all workers end at one time.

    Trials are dealt out from the largest to the smallest, forth and back, to as few groups as there can be of which
    every worker has as many as the others.
    """
    ordered = sorted(trials, key=lambda trial: (trial.instrument, -trial.parameters, trial.trial_id))
    for _, group in itertools.groupby(ordered, key=lambda trial: trial.instrument):
        members = list(group)
        each = math.ceil(len(members) / (size * jobs))
        count = min(len(members), each * jobs)
        forth_and_back = [*range(count), *reversed(range(count))]
        hands: list[list[Trial]] = [[] for _ in range(count)]
        for place, trial in zip(itertools.cycle(forth_and_back), members, strict=False):
            hands[place].append(trial)
        yield from hands


def _train_groups(**arguments: object) -> None:
    # Imported in the child only: the parent process never needs TensorFlow for training.
    from tinytimbre.sweep.worker import train_groups

    train_groups(**arguments)  # type: ignore[arg-type]
