"""Sweeps of models of known quality, as tables of clips: what the gates decide is held against the truth.

The numbers stand for no instrument: typical values, and spreads over takes near those measured on published clips.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from tinytimbre.config import GateConfig
from tinytimbre.quality.gates import Candidate, judge
from tinytimbre.quality.take_values import HIGHER_IS_BETTER, METRICS

TYPICAL = {
    "log_spectral_db": 6.0, "mel_spectral_db": 6.0, "loudness_db": 1.2, "f0_accuracy_points": 95.0, "f0_cents": 5.0,
}  # fmt: skip
SPREAD = {
    "log_spectral_db": 0.3, "mel_spectral_db": 0.4, "loudness_db": 0.25, "f0_accuracy_points": 0.8, "f0_cents": 1.0,
}  # fmt: skip
"""Standard deviation over takes of a paired difference."""


def simulate_clips(
    worse_by: Mapping[str, Mapping[str, float]],
    *,
    takes: int,
    seed: int,
    instrument: str = "flute",
    skewed: bool = False,
    spread: float = 1.0,
) -> pd.DataFrame:
    """A table of clips for `tinytimbre.quality.gates.judge`, one recording a take.

    Args:
        worse_by: candidate id → metric → by how much it is truly worse, in the metric's unit.
        takes: in each of validation and test.
        seed: the same seed gives the same table.
        instrument: name in the table.
        skewed: differences with a long tail towards "worse" instead of normal ones.
        spread: factor on `SPREAD`.
    """
    generator = np.random.default_rng(seed)
    tables = []
    for split in ("validation", "test"):
        take_ids = [f"{split}{take}" for take in range(takes)]
        level = {metric: generator.normal(0, 0.2 * TYPICAL[metric] ** 0.5, takes) for metric in METRICS}
        for name, worse in worse_by.items():
            table = {"candidate_id": name, "instrument": instrument, "split": split, "recording_id": take_ids}
            for metric in METRICS:
                noise = generator.exponential(1, takes) - 1 if skewed else generator.standard_normal(takes)
                sign = -1 if metric in HIGHER_IS_BETTER else 1
                # Two independent ones differ by the square root of 2 more.
                shift = sign * (worse.get(metric, 0.0) + spread * SPREAD[metric] * noise / np.sqrt(2))
                table[metric] = TYPICAL[metric] + level[metric] + shift
            tables.append(pd.DataFrame(table).assign(take_id=take_ids))
    return pd.concat(tables, ignore_index=True)


@dataclasses.dataclass(frozen=True)
class Scenario:
    """Models of known quality beside the best one; ``acceptable`` says whether choosing one of them is right."""

    name: str
    smaller: tuple[Mapping[str, float], ...]
    acceptable: bool


def scenarios(gates: GateConfig) -> tuple[Scenario, ...]:
    """The cases that matter: equal, half the margin worse, just inside, on and just outside the margin.

    Worse is worse in log spectral distance alone, which is the hardest for gates that must all pass: every other one
    is no help. "Three on the margin" gives luck three chances.
    """
    margin = gates.log_spectral_db

    def off(share: float) -> Mapping[str, float]:
        return {"log_spectral_db": share * margin}

    return (
        Scenario("equal", (off(0.0),), acceptable=True),
        Scenario("half the margin worse", (off(0.5),), acceptable=True),
        Scenario("just inside the margin", (off(0.9),), acceptable=True),
        Scenario("on the margin", (off(1.0),), acceptable=False),
        Scenario("just outside the margin", (off(1.1),), acceptable=False),
        Scenario("three on the margin", (off(1.0), off(1.0), off(1.0)), acceptable=False),
    )


@dataclasses.dataclass(frozen=True)
class Count:
    """What became of simulated sweeps.

    Attributes:
        sweeps: how many.
        mistaken: another model was taken for the best on validation, and was the yardstick.
        accepted: a smaller model was shown to be as good as the yardstick, and chosen.
        accepted_rightly_compared: of them, with the truly best model as the yardstick.
    """

    sweeps: int = 0
    mistaken: int = 0
    accepted: int = 0
    accepted_rightly_compared: int = 0

    def __add__(self, other: Count) -> Count:
        """Of both."""
        ours, theirs = dataclasses.astuple(self), dataclasses.astuple(other)
        return Count(*(a + b for a, b in zip(ours, theirs, strict=True)))

    @property
    def power(self) -> float:
        """Share of acceptance where the yardstick was right: what the test itself can do."""
        return self.accepted_rightly_compared / max(1, self.sweeps - self.mistaken)

    @property
    def error_rate(self) -> float:
        """Share of acceptance over all sweeps, wrong yardsticks included."""
        return self.accepted / max(1, self.sweeps)


def count_accepted(
    scenario: Scenario, *, takes: int, sweeps: int, gates: GateConfig, first_seed: int = 0, skewed: bool = False
) -> Count:
    """Judges simulated sweeps with seeds from ``first_seed`` on."""
    sizes = [90_000 // 3**index for index in range(1 + len(scenario.smaller))]
    names = ["best", *(f"smaller{index}" for index in range(len(scenario.smaller)))]
    own = [
        Candidate(candidate_id=name, instrument="flute", bytes_brotli=size)
        for name, size in zip(names, sizes, strict=True)
    ]
    worse: Sequence[Mapping[str, float]] = ({}, *scenario.smaller)
    count = Count()
    for seed in range(first_seed, first_seed + sweeps):
        clips = simulate_clips(dict(zip(names, worse, strict=True)), takes=takes, seed=seed, skewed=skewed)
        verdict = judge(own, clips, gates=gates, seed=0)
        right = verdict.reference == "best"
        count += Count(1, int(not right), int(verdict.shown), int(verdict.shown and right))
    return count
