"""Runs one rung: groups of trials in parallel processes, each failure recorded without stopping the others."""

from __future__ import annotations

import dataclasses
import errno
import itertools
import multiprocessing
import multiprocessing.connection
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from multiprocessing.context import ForkServerProcess

from tinytimbre.config import SweepConfig
from tinytimbre.errors import TinyTimbreError
from tinytimbre.progress import ProgressEvent, report
from tinytimbre.storage import StorageError
from tinytimbre.sweep.accounts import Ledger
from tinytimbre.sweep.plan import SweepPlan, Trial
from tinytimbre.sweep.store import RungResult, TrialStore

POLL_SECS = 0.5
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
            they are to improve on is there already), the disk is full, or an object store fails.
    """
    earlier = store.rung_results(trial_ids, rung)
    again = [trial_id for trial_id, result in earlier.items() if not result.repeatable]
    for trial_id in again:
        store.forget(trial_id, rung)
    wanted = set(trial_ids).difference(earlier).union(again)
    missing = [trial for trial in plan.trials if trial.trial_id in wanted]
    if missing:
        _RungRun(plan, rung, features_dir, store, config, jobs).run(missing, total=len(trial_ids))
    results = store.rung_results(trial_ids, rung)
    finished = [results[trial_id] for trial_id in trial_ids if trial_id in results]
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
class _Running:
    """A group in its process."""

    trials: list[Trial]
    process: ForkServerProcess
    reports: multiprocessing.connection.Connection
    asked: float
    last_sign: float
    seconds: dict[str, float] = dataclasses.field(default_factory=dict)
    error: StorageError | None = None


@dataclasses.dataclass
class _RungRun:
    """State of a rung while it runs."""

    plan: SweepPlan
    rung: int
    features_dir: str
    store: TrialStore
    config: SweepConfig
    jobs: int

    def run(self, trials: Sequence[Trial], *, total: int) -> None:
        """Trains all trials; a group that dies is split, so that only the culprit is lost."""
        first, self._target = self.plan.stretch(trials[0], rung=self.rung)
        self._label = "distilling" if trials[0].distillation else f"training rung {self.rung}"
        self._steps = (self._target - first) * total
        ids = [trial.trial_id for trial in trials]
        self._done = self._steps - self._steps_left(ids)
        self._ledger = Ledger(self.store.storage, rung=self.rung, jobs=self.jobs, trial_ids=ids)
        waiting = list(side_by_side(trials, size=self._group_size(trials)))
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

    def _steps_left(self, trial_ids: Sequence[str]) -> int:
        """For the progress: curves are written with the checkpoints, and are much smaller."""
        curves = self.store.curves(trial_ids)
        return sum(self._target - int(curves[i][-1]["step"] if curves.get(i) else 0) for i in trial_ids)

    def _group_size(self, trials: Sequence[Trial]) -> int:
        """As many side by side as configured, but so few that a process has two groups: all end at about one time."""
        return max(1, min(self.config.training.side_by_side, len(trials) // (2 * self.jobs)))

    def _launch(self, trials: list[Trial], *, asked: float) -> _Running:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["tinytimbre.sweep.worker"])
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(
            target=_run_group,
            kwargs={
                "trials": trials,
                "rung": self.rung,
                "target_step": self._target,
                "features_dir": str(self.features_dir),
                "store": self.store,
                "config": self.config,
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
        report(ProgressEvent(self._label, min(self._done, self._steps), self._steps, "steps"))
        return still, again

    def _drain(self, group: _Running) -> int:
        steps = 0
        try:
            while group.reports.poll():
                message = group.reports.recv()
                if isinstance(message, StorageError):
                    group.error = message
                elif isinstance(message, dict):
                    group.seconds = message
                else:
                    steps += message
                group.last_sign = time.monotonic()
        except (EOFError, OSError):
            pass
        return steps

    def _hangs(self, group: _Running) -> bool:
        return time.monotonic() - group.last_sign > self.config.budget.trial_timeout_secs

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
                got=f"no space left on the disk of {self.store.address}",
                remedy="free some space and run the same command again; everything up to the last checkpoints is kept",
            )
        if group.error is not None:  # no trial's fault either
            raise group.error
        done = self.store.rung_results([trial.trial_id for trial in group.trials], self.rung)
        lost = [trial for trial in group.trials if trial.trial_id not in done]
        if len(group.trials) > 1:
            return [[trial] for trial in lost]
        for trial in lost:
            self.store.write_result(self._failure(trial, hung=hung, exit_code=group.process.exitcode))
        return []

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


def side_by_side(trials: Iterable[Trial], *, size: int) -> Iterator[list[Trial]]:
    """Trials of one instrument and of similar size together, largest first: the long ones must not come last."""
    ordered = sorted(trials, key=lambda trial: (-trial.parameters, trial.trial_id))
    by_instrument = itertools.groupby(sorted(ordered, key=lambda t: t.instrument), key=lambda t: t.instrument)
    for _, group in by_instrument:
        members = list(group)
        yield from (members[start : start + size] for start in range(0, len(members), size))


def _run_group(**arguments: object) -> None:
    # Imported in the child only: the parent process never needs TensorFlow for training.
    from tinytimbre.sweep.worker import run_group

    run_group(**arguments)  # type: ignore[arg-type]
