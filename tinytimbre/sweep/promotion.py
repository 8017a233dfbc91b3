"""Who goes on to the next rung: the best of each size stratum.

Large models learn quickly; strata keep them from pushing small ones out before those have shown what they can do.
"""

from __future__ import annotations

import collections
import math
from collections.abc import Iterable, Mapping

from tinytimbre.config import MIN_SEEDS, BudgetConfig
from tinytimbre.sweep.plan import SweepPlan
from tinytimbre.sweep.store import RungResult


def promote(plan: SweepPlan, results: Iterable[RungResult], *, budget: BudgetConfig) -> list[str]:
    """Ids of the trials that continue, in plan order.

    Of the n finished trials in a stratum of an instrument, the ``ceil(n / eta)`` with the lowest validation loss go
    on, and at least ``min_per_stratum``; ties go to the smaller id, so the choice is the same wherever it is made.

    Where configurations are planned with several seeds, one of them goes on with all its seeds whatever their losses:
    to the end, they tell how far two trainings of one configuration differ, which no margin can undercut. It is the
    one with the best seed among those that have `MIN_SEEDS` or more finished ones.
    """
    losses = {r.trial_id: r.validation_loss for r in results if r.status == "done" and r.validation_loss is not None}
    strata: dict[tuple[str, int], list[str]] = collections.defaultdict(list)
    for trial in plan.trials:
        if trial.trial_id in losses:
            strata[trial.instrument, trial.stratum].append(trial.trial_id)
    chosen: set[str] = set()
    for members in strata.values():
        keep = max(budget.min_per_stratum, math.ceil(len(members) / budget.eta))
        chosen.update(sorted(members, key=lambda trial_id: (losses[trial_id], trial_id))[:keep])
    for instrument in plan.instruments:
        chosen.update(_replicated(plan, losses, instrument=instrument))
    return [trial.trial_id for trial in plan.trials if trial.trial_id in chosen]


def _replicated(plan: SweepPlan, losses: Mapping[str, float], *, instrument: str) -> list[str]:
    families: dict[str, list[str]] = collections.defaultdict(list)
    for trial in plan.trials:
        if trial.instrument == instrument and trial.trial_id in losses:
            families[trial.family].append(trial.trial_id)
    whole = [members for members in families.values() if len(members) >= MIN_SEEDS]
    return min(whole, key=lambda members: min((losses[one], one) for one in members), default=[])
