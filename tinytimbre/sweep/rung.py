"""Runs one rung: groups of trials in parallel processes, each failure recorded without stopping the others."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence

from tinytimbre.config import SweepConfig
from tinytimbre.errors import TinyTimbreError
from tinytimbre.sweep.accounts import Stage, Stopwatch
from tinytimbre.sweep.plan import SweepPlan, Trial
from tinytimbre.sweep.processes import Work, run_in_processes
from tinytimbre.sweep.store import RungResult, TrialStore


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
        first, target = plan.stretch(missing[0], rung=rung)
        work = _Training(store, config, features_dir, rung, target, students=missing[0].distillation is not None)
        groups = side_by_side(missing, size=config.training.side_by_side, jobs=jobs)
        run_in_processes(work, list(groups), n_steps=(target - first) * len(trial_ids), jobs=jobs)
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


@dataclasses.dataclass(frozen=True)
class _Training(Work):
    """To the end of a rung; of students from their start to their end."""

    students: bool

    @property
    def stage(self) -> Stage:
        return "distillation" if self.students else "rung"

    @property
    def label(self) -> str:
        return "distilling" if self.students else f"training rung {self.rung}"

    def is_finished(self, trial: Trial) -> bool:
        return self.store.result(trial.trial_id, self.rung) is not None

    def reached(self, trial: Trial) -> int:
        checkpoint = self.store.checkpoint(trial.trial_id)
        return checkpoint[0] if checkpoint else 0

    def do(self, trials: Sequence[Trial], *, on_step: Callable[[int], None], clock: Stopwatch) -> None:
        from tinytimbre.sweep.trainer import train_trials

        train_trials(
            trials,
            rung=self.rung,
            target_step=self.target_step,
            features_dir=self.features_dir,
            store=self.store,
            config=self.config,
            on_step=on_step,
            clock=clock,
        )

    def record_failure(self, trial: Trial, *, reason: str) -> None:
        self.store.write_trial(trial)
        self.store.write_result(
            RungResult(
                trial_id=trial.trial_id, rung=self.rung, step=0, status="failed", reason=reason, repeatable=False
            )
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
