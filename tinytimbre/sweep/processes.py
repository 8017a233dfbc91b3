"""Work on trials in parallel processes, group after group in each; a failure is recorded and does not stop the others.

    run_in_processes(work, groups, n_steps=n_steps, jobs=2)

Training a rung and fine-tuning for a quantisation are two kinds of `Work`: what is done with the trials is theirs,
how it is spread, watched, accounted for and tried again is here. The other end is `tinytimbre.sweep.worker`.
"""

from __future__ import annotations

import abc
import contextlib
import dataclasses
import errno
import multiprocessing
import multiprocessing.connection
import os
import time
from collections.abc import Callable, Sequence
from multiprocessing.context import ForkServerProcess

from tinytimbre.config import SweepConfig
from tinytimbre.errors import TinyTimbreError
from tinytimbre.progress import ProgressEvent, report
from tinytimbre.sweep.accounts import Ledger, Stage, Stopwatch
from tinytimbre.sweep.plan import Trial
from tinytimbre.sweep.store import TrialStore

POLL_SECS = 0.5
GROUPS_PER_PROCESS = 4
"""Starting a process and reading the recordings is shared by so many; TensorFlow never gives a graph with gradients of
its own back, some 6 MB a model, so there is an end."""

OUT_OF_MEMORY_EXIT = errno.ENOMEM
"""What a worker ends with that could not have the memory it asked for, or more than it may."""

KILLED_EXIT = -9
DISK_FULL_EXIT = errno.ENOSPC
"""What a worker ends with when it cannot write, which is no trial's fault."""


@dataclasses.dataclass(frozen=True)
class Work(abc.ABC):
    """Something to be done step by step with each of some trials; goes to other processes.

    Attributes:
        store: where the trials live.
        config: the sweep.
        features_dir: a Features artifact.
        rung: whose results are made or used.
        target_step: at which a trial is done.
    """

    store: TrialStore
    config: SweepConfig
    features_dir: str
    rung: int
    target_step: int

    @property
    @abc.abstractmethod
    def stage(self) -> Stage:
        """Under which its time is booked."""

    @property
    @abc.abstractmethod
    def label(self) -> str:
        """Of the progress."""

    @abc.abstractmethod
    def is_finished(self, trial: Trial) -> bool:
        """Whether there is a result, good or bad."""

    @abc.abstractmethod
    def reached(self, trial: Trial) -> int:
        """Step of the last checkpoint, 0 without one."""

    @abc.abstractmethod
    def do(self, trials: Sequence[Trial], *, on_step: Callable[[int], None], clock: Stopwatch) -> None:
        """Runs in a worker: brings trials of one instrument, all at the same step, to their results.

        Args:
            trials: held by this process.
            on_step: called after every step with the number of trial steps done since the last call.
            clock: told where the time went.
        """

    @abc.abstractmethod
    def record_failure(self, trial: Trial, *, reason: str) -> None:
        """Writes the result of a trial whose process could not be made to finish it."""


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


def run_in_processes(work: Work, groups: Sequence[Sequence[Trial]], *, n_steps: int, jobs: int) -> None:
    """Does the work; a group that dies is split, so that only the culprit is lost.

    Args:
        work: what to do.
        groups: of trials without results, each of one instrument; the longest first.
        n_steps: of all trials of this stage together, those that were finished before included.
        jobs: processes at a time, at least 1.

    Raises:
        TinyTimbreError: the disk is full.
    """
    _Run(work, n_steps, jobs).run([list(group) for group in groups])


@dataclasses.dataclass
class _Run:
    """State of a piece of work while it runs."""

    work: Work
    n_steps: int
    jobs: int
    workers: list[_Worker] = dataclasses.field(default_factory=list)
    again: list[list[Trial]] = dataclasses.field(default_factory=list)

    def run(self, waiting: list[list[Trial]]) -> None:
        """Until nothing is left."""
        trials = [trial for group in waiting for trial in group]
        self._done = self.n_steps - sum(self.work.target_step - self.work.reached(trial) for trial in trials)
        self._ledger = Ledger(
            self.work.store.root,
            stage=self.work.stage,
            rung=self.work.rung,
            jobs=self.jobs,
            trial_ids=[trial.trial_id for trial in trials],
        )
        try:
            while waiting or self.again or self.workers:
                self._occupy(waiting)
                self._poll()
        finally:
            for worker in self.workers:
                worker.process.kill()

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
        context.set_forkserver_preload(["tinytimbre.sweep.worker", "tinytimbre.sweep.trainer"])
        ours, theirs = context.Pipe()
        process = context.Process(
            target=_do_groups,
            kwargs={
                "work": self.work,
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
        report(ProgressEvent(self.work.label, min(self._done, self.n_steps), self.n_steps, "steps"))

    def _hangs(self, worker: _Worker) -> bool:
        return time.monotonic() - worker.last_sign > self.work.config.budget.trial_timeout_secs

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
                got=f"no space left on the disk of {self.work.store.root}",
                remedy="free some space and run the same command again; everything up to the last checkpoints is kept",
            )
        lost = [trial for trial in worker.trials if not self.work.is_finished(trial)]
        if len(worker.trials) > 1 or worker.given > 1:
            self.again += [[trial] for trial in lost]
            return
        for trial in lost:
            self.work.record_failure(trial, reason=self._reason(hung=hung, exit_code=worker.process.exitcode))

    def _reason(self, *, hung: bool, exit_code: int | None) -> str:
        budget = self.work.config.budget
        if hung:
            return f"no step finished within {budget.trial_timeout_secs:g} s (budget.trial_timeout_secs)"
        if exit_code == OUT_OF_MEMORY_EXIT:
            limit = budget.worker_memory_mb
            allowed = f" beyond {limit} MB (budget.worker_memory_mb)" if limit else ""
            return f"out of memory{allowed}, even alone: smaller batches, shorter clips or a smaller decoder"
        if exit_code == KILLED_EXIT:
            return "killed by the system, most likely out of memory: smaller batches, or fewer processes (--jobs)"
        return f"its process ended with exit code {exit_code}; see the log above"


def _do_groups(**arguments: object) -> None:
    # Imported in the child only: the parent process never needs TensorFlow for training.
    from tinytimbre.sweep.worker import do_groups

    do_groups(**arguments)  # type: ignore[arg-type]
