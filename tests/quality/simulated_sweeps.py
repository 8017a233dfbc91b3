"""Sweeps of models of known quality, as tables of clips, for the tests of the gates."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from tinytimbre.quality.gates import METRICS, Candidate

BASE = {"log_spectral_db": 6.0, "mel_spectral_db": 6.0, "loudness_db": 1.2, "f0_accuracy_points": 95.0, "f0_cents": 5.0}
SPREAD = {
    "log_spectral_db": 0.3,
    "mel_spectral_db": 0.4,
    "loudness_db": 0.25,
    "f0_accuracy_points": 0.8,
    "f0_cents": 1.0,
}
"""Standard deviation over takes of a paired difference, near those measured on published clips."""


def candidates(sizes: Mapping[str, int], *, instrument: str = "flute") -> list[Candidate]:
    return [Candidate(candidate_id=name, instrument=instrument, bytes_brotli=size) for name, size in sizes.items()]


def clips(
    worse_by: Mapping[str, Mapping[str, float]],
    *,
    takes: int,
    seed: int,
    instrument: str = "flute",
    skewed: bool = False,
    spread: float = 1.0,
) -> pd.DataFrame:
    """Rows for every candidate of ``worse_by`` (metric: by how much it is truly worse), both splits."""
    generator = np.random.default_rng(seed)
    tables = []
    for split in ("validation", "test"):
        take_ids = [f"{split}{take}" for take in range(takes)]
        level = {metric: generator.normal(0, 0.2 * BASE[metric] ** 0.5, takes) for metric in METRICS}
        for name, worse in worse_by.items():
            table = {"candidate_id": name, "instrument": instrument, "split": split, "recording_id": take_ids}
            for metric in METRICS:
                noise = generator.exponential(1, takes) - 1 if skewed else generator.standard_normal(takes)
                sign = -1 if metric == "f0_accuracy_points" else 1
                shift = sign * (worse.get(metric, 0.0) + spread * SPREAD[metric] * noise / np.sqrt(2))
                table[metric] = BASE[metric] + level[metric] + shift
            tables.append(pd.DataFrame(table).assign(take_id=take_ids))
    return pd.concat(tables, ignore_index=True)
