"""Work on trials in parallel processes, a group of trials in each; a failure is recorded and does not stop the others.

    run_in_processes(work, groups, n_steps=n_steps, jobs=2)

Training a rung and fine-tuning for a quantisation are two kinds of `Work`: what is done with the trials is theirs,
how it is spread, watched, accounted for and tried again is here. The other end is `tinytimbre.sweep.worker`.
"""

from __future__ import annotations

import abc
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
class _Running:
    """A group in its process."""

    trials: list[Trial]
    process: ForkServerProcess
    reports: multiprocessing.connection.Connection
    asked: float
    last_sign: float
    seconds: dict[str, float] = dataclasses.field(default_factory=dict)


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
        running: list[_Running] = []
        try:
            while waiting or running:
                # The first launch waits for the server's imports, and so do the places of all others.
                asked = time.monotonic()
                while waiting and len(running) < self.jobs:
                    running.append(self._launch(waiting.pop(0), asked=asked))
                running, again = self._poll(running)
                waiting += again
        finally:
            for group in running:
                group.process.kill()

    def _launch(self, trials: list[Trial], *, asked: float) -> _Running:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["tinytimbre.sweep.worker", "tinytimbre.sweep.trainer"])
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(
            target=_run_group,
            kwargs={
                "trials": trials,
                "work": self.work,
                "threads": max(1, (os.cpu_count() or 1) // self.jobs),
                "reports": sender,
                "asked": asked,
            },
            daemon=True,
        )
        process.start()
        sender.close()
        return _Running(trials, process, receiver, asked, last_sign=time.monotonic())

    def _poll(self, running: list[_Running]) -> tuple[list[_Running], list[list[Trial]]]:
        """Reads progress, collects ended groups; returns those still running and those to try again."""
        multiprocessing.connection.wait([group.process.sentinel for group in running], timeout=POLL_SECS)
        still: list[_Running] = []
        again: list[list[Trial]] = []
        for group in running:
            self._done += self._drain(group)
            if group.process.is_alive() and not self._hangs(group):
                still.append(group)
                continue
            again += self._collect(group)
        report(ProgressEvent(self.work.label, min(self._done, self.n_steps), self.n_steps, "steps"))
        return still, again

    def _drain(self, group: _Running) -> int:
        steps = 0
        try:
            while group.reports.poll():
                message = group.reports.recv()
                if isinstance(message, dict):
                    group.seconds = message
                else:
                    steps += message
                group.last_sign = time.monotonic()
        except (EOFError, OSError):
            pass
        return steps

    def _hangs(self, group: _Running) -> bool:
        return time.monotonic() - group.last_sign > self.work.config.budget.trial_timeout_secs

    def _collect(self, group: _Running) -> list[list[Trial]]:
        """Trials without a result after their process ended: tried alone once more, then recorded as failed."""
        hung = group.process.is_alive()
        if hung:
            group.process.kill()
        group.process.join()
        self._done += self._drain(group)
        self._ledger.add(group.seconds, lifetime_secs=time.monotonic() - group.asked)
        if group.process.exitcode == DISK_FULL_EXIT:
            raise TinyTimbreError(
                "training needs room for checkpoints",
                got=f"no space left on the disk of {self.work.store.root}",
                remedy="free some space and run the same command again; everything up to the last checkpoints is kept",
            )
        lost = [trial for trial in group.trials if not self.work.is_finished(trial)]
        if len(group.trials) > 1:
            return [[trial] for trial in lost]
        for trial in lost:
            self.work.record_failure(trial, reason=self._reason(hung=hung, exit_code=group.process.exitcode))
        return []

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


def _run_group(**arguments: object) -> None:
    # Imported in the child only: the parent process never needs TensorFlow for training.
    from tinytimbre.sweep.worker import run_group

    run_group(**arguments)  # type: ignore[arg-type]
