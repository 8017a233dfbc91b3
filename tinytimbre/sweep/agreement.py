"""How well a rung foretells the end: rank correlation of its validation losses with the final ones.

Successive halving is as good as its early rungs' ranking. Only trials that reached the last rung can be compared, and
those were chosen by the very losses compared: what a dropped trial would have become is unknown, and a choice of the
best narrows their range, which usually makes the correlation smaller than it would be over all trials.
"""

from __future__ import annotations

import collections
import dataclasses
import math
import warnings
from collections.abc import Mapping

import numpy as np
import scipy.stats

MIN_TRIALS = 5
GOOD_CORRELATION = 0.7
CONFIDENCE = 0.95
BIAS = "Only trials that reached the last rung are compared; what the dropped ones would have become is unknown."


@dataclasses.dataclass(frozen=True)
class RankAgreement:
    """Spearman's correlation between the losses of a rung and the final ones.

    Attributes:
        instrument: whose trials.
        rung: the earlier rung.
        n: trials that have both losses.
        correlation: over all strata, -1 to 1; None with fewer than `MIN_TRIALS` trials or where all are alike.
        low: of its `CONFIDENCE` interval.
        high: likewise.
        within: the same with ranks taken inside each stratum, where promotion happens; None as above.
    """

    instrument: str
    rung: int
    n: int
    correlation: float | None
    low: float | None
    high: float | None
    within: float | None

    @property
    def is_poor(self) -> bool:
        """Whether one of the correlations is known and below `GOOD_CORRELATION`."""
        return any(value is not None and value < GOOD_CORRELATION for value in (self.correlation, self.within))

    def words(self) -> str:
        """One sentence, and where it is poor another about what to do."""
        start = f"rung {self.rung} against the last"
        if self.correlation is None:
            why = f"too few trials ({self.n})" if self.n < MIN_TRIALS else f"all {self.n} losses are alike"
            return f"{start}: no rank correlation, {why}."
        inside = "" if self.within is None else f"; inside the strata {self.within:.2f}"
        text = (
            f"{start}: rank correlation {self.correlation:.2f} "
            f"({CONFIDENCE:.0%} between {self.low:.2f} and {self.high:.2f}, {self.n} trials){inside}."
        )
        if not self.is_poor:
            return text
        return (
            f"{text} Below {GOOD_CORRELATION:g}: this rung may have dropped good trials; make it longer "
            "(budget.rung_steps) or drop fewer (a smaller budget.eta)."
        )


def rank_agreements(
    losses: Mapping[str, Mapping[int, float]], *, strata: Mapping[str, tuple[str, int]], last_rung: int
) -> list[RankAgreement]:
    """One entry per instrument and earlier rung, in that order.

    Args:
        losses: trial id → rung → validation loss, of rungs that were finished.
        strata: trial id → instrument and size stratum.
        last_rung: its index; its losses are the final ones.
    """
    finished: dict[str, list[str]] = collections.defaultdict(list)
    for trial_id, (instrument, _) in strata.items():
        if last_rung in losses.get(trial_id, {}):
            finished[instrument].append(trial_id)
    return [
        _agreement(instrument, rung, ids, losses, strata, last_rung)
        for instrument, ids in sorted(finished.items())
        for rung in range(last_rung)
    ]


def _agreement(
    instrument: str,
    rung: int,
    ids: list[str],
    losses: Mapping[str, Mapping[int, float]],
    strata: Mapping[str, tuple[str, int]],
    last_rung: int,
) -> RankAgreement:
    ids = [trial_id for trial_id in ids if rung in losses[trial_id]]
    early, final = (np.array([losses[trial_id][at] for trial_id in ids]) for at in (rung, last_rung))
    value = spearman(early, final)
    low, high = (None, None) if value is None else interval(value, n=len(ids))
    within = within_strata(early, final, strata=np.array([strata[trial_id][1] for trial_id in ids]))
    return RankAgreement(instrument, rung, len(ids), value, low, high, within)


def spearman(first: np.ndarray, second: np.ndarray) -> float | None:
    """Spearman's rank correlation of two float [n]; None with fewer than `MIN_TRIALS` values or without ranks."""
    if len(first) < MIN_TRIALS:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", scipy.stats.ConstantInputWarning)
        value = float(scipy.stats.spearmanr(first, second).statistic)
    return value if math.isfinite(value) else None


def interval(correlation: float, *, n: int) -> tuple[float, float]:
    """`CONFIDENCE` interval of Spearman's correlation over n >= 4 pairs.

    Fisher's transformation with the standard error of Bonett and Wright, *Psychometrika* 65:1, 2000.
    """
    if abs(correlation) >= 1:
        return correlation, correlation
    error = math.sqrt((1 + correlation**2 / 2) / (n - 3))
    reach = float(scipy.stats.norm.ppf((1 + CONFIDENCE) / 2)) * error
    centre = math.atanh(correlation)
    return math.tanh(centre - reach), math.tanh(centre + reach)


def within_strata(first: np.ndarray, second: np.ndarray, *, strata: np.ndarray) -> float | None:
    """Correlation of the ranks inside each stratum, centred there and scaled to [-1/2, 1/2], of all strata together.

    Strata with one trial have no rank and do not count. None with fewer than `MIN_TRIALS` others.
    """
    members = [strata == stratum for stratum in np.unique(strata) if (strata == stratum).sum() > 1]
    if sum(int(own.sum()) for own in members) < MIN_TRIALS:
        return None
    ranks = [np.concatenate([_centred_ranks(values[own]) for own in members]) for values in (first, second)]
    spread = float(np.sqrt((ranks[0] ** 2).sum() * (ranks[1] ** 2).sum()))
    return float((ranks[0] * ranks[1]).sum()) / spread if spread else None


def _centred_ranks(values: np.ndarray) -> np.ndarray:
    return (scipy.stats.rankdata(values) - (len(values) + 1) / 2) / (len(values) - 1)
