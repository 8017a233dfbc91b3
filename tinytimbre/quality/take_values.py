"""What was measured on each take, as the gates want it: one value per candidate, metric and take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import pandas as pd

from tinytimbre.quality.baseline import BASELINE

METRICS = ("log_spectral_db", "mel_spectral_db", "loudness_db", "f0_accuracy_points", "f0_cents")
HIGHER_IS_BETTER = ("f0_accuracy_points",)
MAX_CENTS = 50.0
SPLITS: tuple[Split, ...] = ("validation", "test")
Split = Literal["validation", "test"]


class TakeValues:
    """Means over the recordings of each take, of the candidates of one instrument and its baseline."""

    def __init__(self, clips: pd.DataFrame) -> None:
        self._wide = {split: _take_means(clips[clips["split"] == split]) for split in SPLITS}

    def n_takes(self, split: Split) -> int:
        """Takes of a split."""
        return self._wide[split]["log_spectral_db"].shape[1]

    def tables(self, split: Split) -> Mapping[str, pd.DataFrame]:
        """By metric: a row per candidate, a column per take; without the baseline."""
        if not self.has_baseline(split):
            return self._wide[split]
        return {metric: wide.drop(index=BASELINE) for metric, wide in self._wide[split].items()}

    def evaluated(self) -> dict[str, float]:
        """Mean log spectral distance on the validation takes, of the candidates that have them all."""
        wide = self.tables("validation")["log_spectral_db"].dropna()
        return {str(candidate): float(mean) for candidate, mean in wide.mean(axis=1).items() if wide.shape[1]}

    def has_baseline(self, split: Split) -> bool:
        """Whether the filtered sawtooth was measured."""
        return BASELINE in self._wide[split]["log_spectral_db"].index

    def values(self, candidate: str, metric: str, split: Split) -> np.ndarray:
        """Float [n_takes], in one order for all candidates; NaN where the candidate has no value."""
        wide = self._wide[split][metric]
        return wide.loc[candidate].to_numpy(float) if candidate in wide.index else np.full(wide.shape[1], np.nan)

    def differences(self, candidate: str, reference: str, metric: str, split: Split) -> tuple[np.ndarray, int]:
        """Float [n]: how much worse the candidate is on each take; and the takes only the reference has."""
        sign = -1.0 if metric in HIGHER_IS_BETTER else 1.0
        ours = self.values(reference, metric, split)
        differences = sign * (self.values(candidate, metric, split) - ours)
        lost = np.isnan(differences) & ~np.isnan(ours)
        return differences[~np.isnan(differences)], int(lost.sum())


def _take_means(clips: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Per metric the mean over the recordings of a take: a row per candidate, a column per take."""
    values = clips.assign(f0_cents=clips["f0_cents"].clip(upper=MAX_CENTS))
    values[list(METRICS)] = values[list(METRICS)].astype(float).replace([np.inf, -np.inf], np.nan)
    means = values.groupby(["candidate_id", "take_id"], observed=True)[list(METRICS)].mean()
    return {metric: means[metric].unstack("take_id") for metric in METRICS}
