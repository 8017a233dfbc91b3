"""The seed-to-seed floor: how far apart two trainings of the very same configuration end up.

A margin below it asks for more than training itself can repeat; what it would decide is luck. Measured from the
candidates of a sweep that differ in their training seed alone, at least three of them.
"""

from __future__ import annotations

import collections
import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import scipy.special

from tinytimbre.config import MIN_SEEDS
from tinytimbre.quality.verdict import Candidate, SeedFloor


def seed_floor(candidates: Sequence[Candidate], takes: Mapping[str, pd.DataFrame]) -> SeedFloor:
    """Standard deviation of the difference between the means of two seeds, by metric, as its median tells it.

    The median over all pairs of seeds of one ``family`` of their absolute difference, times 1.48, which makes it the
    standard deviation of normal differences (Rousseeuw and Croux, *Alternatives to the Median Absolute Deviation*,
    JASA 88:424, 1993). One equal model in six is further above another than this. A training that went wrong is seen on
    its own takes; it says nothing about how finely two sound ones can be told apart, and would decide a mean square.

    Args:
        candidates: of one instrument; only those of one ``family`` are compared.
        takes: per metric a row per candidate, a column per take (validation); NaN where there is no value.
    """
    families = _families(candidates, evaluated=takes["log_spectral_db"])
    if not families:
        return SeedFloor()
    floors = {metric: _typical_difference(wide, list(families.values())) for metric, wide in takes.items()}
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


def _typical_difference(wide: pd.DataFrame, families: Sequence[Sequence[str]]) -> float | None:
    """None where no take has a value for all."""
    known = wide.loc[[member for family in families for member in family]].dropna(axis=1)
    if not known.shape[1]:
        return None
    means = known.mean(axis=1)
    pairs = (pair for family in families for pair in itertools.combinations(family, 2))
    differences = [abs(means[one] - means[other]) for one, other in pairs]
    return float(np.median(differences) / scipy.special.ndtri(0.75))
