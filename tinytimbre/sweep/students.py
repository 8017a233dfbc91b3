"""Teacher to student: which finalists are trained once more on the controls of the best, once the last rung is done.

    plan = plan_students(plan, results_of_last_rung, config=config)
    plan.teachers, plan.students

A student is a trial of its own beside its undistilled twin; both are exported and judged, so whichever is better stays.
"""

from __future__ import annotations

import collections
import hashlib
import json
from collections.abc import Iterable, Sequence

from tinytimbre.config import DistillationConfig, SweepConfig
from tinytimbre.sweep.plan import Distillation, SweepPlan, Trial
from tinytimbre.sweep.store import RungResult

DISTILLATION_VERSION = 1
"""Raise it with every change that alters what a student learns from controls: students' ids follow it."""


def plan_students(plan: SweepPlan, results: Iterable[RungResult], *, config: SweepConfig) -> SweepPlan:
    """The plan with students added behind its trials.

    An instrument's teacher is the finalist with the lowest validation loss. Students are made of finalists with fewer
    parameters: the best of every size stratum first, small strata before large ones, then the second best, until
    ``config.distillation.students`` are found. Ties go to the smaller id.

    Args:
        plan: without students.
        results: of the last rung.
        config: ``distillation`` says how many and how long; ``budget.rung_steps`` is the default for how long.

    Returns:
        The plan as it was where no finalist is smaller than its instrument's teacher, but for ``teachers``.
    """
    losses = {r.trial_id: r.validation_loss for r in results if r.status == "done" and r.validation_loss is not None}
    finalists: dict[str, list[Trial]] = collections.defaultdict(list)
    for trial in sorted(plan.trials, key=lambda trial: (losses.get(trial.trial_id, 0.0), trial.trial_id)):
        if trial.trial_id in losses:
            finalists[trial.instrument].append(trial)
    steps = config.distillation.steps or config.budget.rung_steps[-1]
    students = [
        student(twin, teacher_id=finalists[instrument][0].trial_id, steps=steps, config=config.distillation)
        for instrument in sorted(finalists)
        for twin in _chosen(finalists[instrument], count=config.distillation.students)
    ]
    teachers = {instrument: members[0].trial_id for instrument, members in sorted(finalists.items())}
    return plan.model_copy(update={"trials": (*plan.trials, *students), "teachers": teachers})


def student(twin: Trial, *, teacher_id: str, steps: int, config: DistillationConfig) -> Trial:
    """The twin as a student: the same decoder, seed and learning rate, an id of its own."""
    distillation = Distillation(
        teacher_id=teacher_id,
        twin_id=twin.trial_id,
        steps=steps,
        control_steps=max(1, round(config.control_share * steps)),
    )
    # The twin's id stands for everything else a result depends on.
    identity = {"distillation_version": DISTILLATION_VERSION, **distillation.model_dump()}
    trial_id = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
    return twin.model_copy(update={"trial_id": trial_id, "distillation": distillation})


def _chosen(ranked: Sequence[Trial], *, count: int) -> list[Trial]:
    """From finalists of one instrument, best first: those smaller than the best, each stratum in turn."""
    turns: collections.Counter[int] = collections.Counter()
    order: list[tuple[int, int, Trial]] = []
    for trial in ranked[1:]:
        if trial.parameters < ranked[0].parameters:
            order.append((turns[trial.stratum], trial.stratum, trial))
            turns[trial.stratum] += 1
    return [trial for *_, trial in sorted(order, key=lambda entry: entry[:2])[:count]]
