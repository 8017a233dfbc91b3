"""The seed-to-seed floor: how far apart two trainings of the very same configuration end up.

A margin below it asks for more than training itself can repeat; what it would decide is luck. Measured from the
candidates of a sweep that differ in their training seed alone, at least three of them.
"""

from __future__ import annotations

import collections
import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from tinytimbre.config import MIN_SEEDS
from tinytimbre.quality.verdict import Candidate, SeedFloor


def seed_floor(candidates: Sequence[Candidate], takes: Mapping[str, pd.DataFrame]) -> SeedFloor:
    """Root mean square difference between the means of two seeds, by metric.

    ``sqrt(2 * v)`` with v the variance over the seeds of the mean over takes, pooled over all families by their degrees
    of freedom. One equal model in six is further above another than this, if the differences are normal.

    Args:
        candidates: of one instrument; only those of one ``family`` are compared.
        takes: per metric a row per candidate, a column per take (validation); NaN where there is no value.
    """
    families = _families(candidates, evaluated=takes["log_spectral_db"])
    if not families:
        return SeedFloor()
    floors = {metric: _rms_difference(wide, list(families.values())) for metric, wide in takes.items()}
    return SeedFloor(
        n_families=len({family for family, _ in families}),
        n_models=sum(map(len, families.values())),
        floors={metric: floor for metric, floor in floors.items() if floor is not None},
    )


def _families(candidates: Sequence[Candidate], *, evaluated: pd.DataFrame) -> dict[tuple[str, str], list[str]]:
    """Ids of the candidates that share family and quantisation, where there are three or more with all takes."""
    whole = set(evaluated.dropna().index)
    families: dict[tuple[str, str], list[str]] = collections.defaultdict(list)
    for candidate in candidates:
        if candidate.family and candidate.candidate_id in whole:
            families[candidate.family, candidate.quantisation].append(candidate.candidate_id)
    return {key: members for key, members in sorted(families.items()) if len(members) >= MIN_SEEDS}


def _rms_difference(wide: pd.DataFrame, families: Sequence[Sequence[str]]) -> float | None:
    """None where no take has a value for all."""
    known = wide.loc[[member for family in families for member in family]].dropna(axis=1)
    if not known.shape[1]:
        return None
    means = known.mean(axis=1)
    squares = sum(float(np.sum((means[family] - means[family].mean()) ** 2)) for family in map(list, families))
    return math.sqrt(2 * squares / sum(len(family) - 1 for family in families))
