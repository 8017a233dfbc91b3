"""What was measured on each take, as the gates want it: one value per candidate, metric and take."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import pandas as pd

from tinytimbre.quality.baseline import BASELINE

METRICS = ("log_spectral_db", "mel_spectral_db", "loudness_db", "f0_accuracy_points", "f0_cents")
HIGHER_IS_BETTER = ("f0_accuracy_points",)
MAX_CENTS = 50.0
UNKNOWN = 1e9
"""Stands for a loss that nobody could measure: larger than any, yet finite, so that two of them are equal."""

SPLITS: tuple[Split, ...] = ("validation", "test")
Split = Literal["validation", "test"]


class TakeValues:
    """Means over the recordings of each take, of the candidates of one instrument and its baseline."""

    def __init__(self, clips: pd.DataFrame) -> None:
        self._means = {split: _TakeMeans.of(clips[clips["split"] == split]) for split in SPLITS}

    def n_takes(self, split: Split) -> int:
        """Takes of a split."""
        return len(self._means[split].take_ids)

    def tables(self, split: Split) -> dict[str, pd.DataFrame]:
        """By metric: a row per candidate, a column per take; without the baseline."""
        means = self._means[split]
        return {
            metric: pd.DataFrame(means.values[..., index], index=list(means.rows), columns=means.take_ids).drop(
                index=BASELINE, errors="ignore"
            )
            for index, metric in enumerate(METRICS)
        }

    def evaluated(self) -> dict[str, float]:
        """Mean log spectral distance on the validation takes, of the candidates that have them all."""
        means = {name: self.values(name, METRICS[0], "validation") for name in self._means["validation"].rows}
        return {name: float(own.mean()) for name, own in means.items() if name != BASELINE and np.isfinite(own).all()}

    def dominated(self, candidates: Sequence[str], *, margins: Mapping[str, float]) -> set[str]:
        """Those that another one betters by more than a margin somewhere, and falls behind by more than one nowhere.

        On the means over the validation takes. The tolerance is that of epsilon-dominance (Laumanns et al.,
        *Evolutionary Computation* 10:3, 2002), here with an epsilon a metric.

        Args:
            candidates: compared with each other.
            margins: by metric.
        """
        columns = [self._mean_losses(candidates, metric) / margin for metric, margin in margins.items()]
        losses = np.stack(columns, axis=-1)
        gains = losses[:, None] - losses[None]
        better = np.logical_and((gains > 1).any(axis=-1), (gains >= -1).all(axis=-1))
        return {candidates[int(index)] for index in np.flatnonzero(better.any(axis=1))}

    def _mean_losses(self, candidates: Sequence[str], metric: str) -> np.ndarray:
        """Over the validation takes; none at all is worse than any."""
        means = np.array([_known_mean(self._losses(name, metric, "validation")) for name in candidates])
        return np.where(np.isnan(means), UNKNOWN, means)

    def _losses(self, candidate: str, metric: str, split: Split) -> np.ndarray:
        """`values`, signed so that less is better."""
        sign = -1.0 if metric in HIGHER_IS_BETTER else 1.0
        return sign * self.values(candidate, metric, split)

    def has_baseline(self, split: Split) -> bool:
        """Whether the filtered sawtooth was measured."""
        return BASELINE in self._means[split].rows

    def values(self, candidate: str, metric: str, split: Split) -> np.ndarray:
        """Float [n_takes], in one order for all candidates; NaN where the candidate has no value."""
        means = self._means[split]
        row = means.rows.get(candidate)
        return np.full(len(means.take_ids), np.nan) if row is None else means.values[row, :, METRICS.index(metric)]

    def differences(self, candidate: str, reference: str, metric: str, split: Split) -> tuple[np.ndarray, int]:
        """Float [n]: how much worse the candidate is on each take; and the takes only the reference has."""
        of_reference = self._losses(reference, metric, split)
        differences = self._losses(candidate, metric, split) - of_reference
        lost = np.isnan(differences) & ~np.isnan(of_reference)
        return differences[~np.isnan(differences)], int(lost.sum())


def _known_mean(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else math.nan


@dataclasses.dataclass(frozen=True, eq=False)
class _TakeMeans:
    """Float [candidates, takes, metrics], NaN where there is nothing; the candidates' rows; the takes' ids."""

    values: np.ndarray
    rows: dict[str, int]
    take_ids: list[str]

    @classmethod
    def of(cls, clips: pd.DataFrame) -> _TakeMeans:
        """In numpy: a study of the gates makes tens of thousands of these."""
        ids, rows = np.unique(clips["candidate_id"].to_numpy(str), return_inverse=True)
        take_ids, columns = np.unique(clips["take_id"].to_numpy(str), return_inverse=True)
        measured = clips[list(METRICS)].to_numpy(float)
        cents = METRICS.index("f0_cents")
        measured[:, cents] = np.minimum(measured[:, cents], MAX_CENTS)
        known = np.isfinite(measured)
        shape = (len(ids), len(take_ids), len(METRICS))
        totals, counts = np.zeros(shape), np.zeros(shape)
        np.add.at(totals, (rows, columns), np.where(known, measured, 0.0))
        np.add.at(counts, (rows, columns), known)
        means = np.divide(totals, counts, out=np.full(shape, np.nan), where=counts > 0)
        return cls(means, {str(name): row for row, name in enumerate(ids)}, [str(name) for name in take_ids])
