"""Where quality breaks with size: from which size down the loss against the best model is shown to exceed a margin.

Sizes are taken in steps of a factor of two, bytes of the whole model with brotli. In each, the model with the smallest
mean log spectral distance on validation stands for its size; on test it is compared with the best model of the sweep,
take by take, metric by metric. A metric whose margin lies below the seed-to-seed floor decides nothing.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
import pandas as pd

from benchmarks.findings.sweeps import Sweep
from tinytimbre.quality.bounds import MIN_TAKES, upper_bound
from tinytimbre.quality.take_values import METRICS, TakeValues
from tinytimbre.quality.verdict import Verdict
from tinytimbre.quality.wording import size

DRAWS = 4000
Judgement = Literal["within every margin", "beyond a margin", "not shown"]


@dataclasses.dataclass(frozen=True)
class SizeStep:
    """The model that stands for a size, and how it compares with the best.

    Attributes:
        candidate_id: the model.
        n_bytes: its size with brotli.
        worse_db: mean difference in log spectral distance.
        low_db: one-sided bound from below at the verdict's confidence.
        high_db: from above.
        judgement: within every margin, each at the verdict's confidence; beyond one, at that confidence for all
            together; or neither.
        why: the metric that decides.
    """

    candidate_id: str
    n_bytes: int
    worse_db: float
    low_db: float
    high_db: float
    judgement: Judgement
    why: str


def size_steps(sweep: Sweep, *, instrument: str) -> list[SizeStep]:
    """Smallest first; empty without a verdict or with fewer than three test takes."""
    verdict = sweep.verdict(instrument)
    takes = TakeValues(sweep.tables.clips[sweep.tables.clips["instrument"] == instrument])
    if verdict is None or verdict.reference is None or takes.n_takes("test") < MIN_TAKES:
        return []
    found = (
        _step(one, n_bytes, takes=takes, verdict=verdict, sweep=sweep)
        for one, n_bytes in _standing(sweep.tables.candidates, takes, instrument=instrument)
    )
    return [step for step in found if step]


def _standing(candidates: pd.DataFrame, takes: TakeValues, *, instrument: str) -> list[tuple[str, int]]:
    own = candidates[candidates["instrument"] == instrument]
    own = own.assign(distance=own["candidate_id"].map(takes.evaluated())).dropna(subset=["distance", "total_brotli"])
    own = own.assign(step=[math.floor(math.log2(n_bytes)) for n_bytes in own["total_brotli"]])
    best = own.sort_values(["distance", "total_brotli", "candidate_id"]).groupby("step", sort=True).first()
    return [(str(one), int(n)) for one, n in zip(best["candidate_id"], best["total_brotli"], strict=True)]


def _step(candidate: str, n_bytes: int, *, takes: TakeValues, verdict: Verdict, sweep: Sweep) -> SizeStep | None:
    """None where the candidate has no value on some take."""
    if candidate == verdict.reference:
        return SizeStep(candidate, n_bytes, 0.0, 0.0, 0.0, "within every margin", "the best model itself")
    bounds = {}
    for metric in METRICS:
        values, lost = takes.differences(candidate, verdict.reference or "", metric, "test")
        if lost or len(values) < MIN_TAKES:
            return None
        bounds[metric] = _Bounds.of(values, margin=getattr(sweep.config.gates, metric), confidence=verdict.confidence)
    own = bounds["log_spectral_db"]
    blurred = [metric for metric, one in bounds.items() if verdict.floor.floors.get(metric, 0.0) > one.margin]
    return SizeStep(candidate, n_bytes, own.mean, own.low, own.high, *_judged(bounds, blurred))


@dataclasses.dataclass(frozen=True)
class _Bounds:
    """One-sided bounds of a mean difference; ``surely_low`` holds for all metrics together."""

    mean: float
    low: float
    surely_low: float
    high: float
    margin: float

    @classmethod
    def of(cls, values: np.ndarray, *, margin: float, confidence: float) -> _Bounds:
        strict = 1 - (1 - confidence) / len(METRICS)
        low, surely_low = (-upper_bound(-values, confidence=c, draws=DRAWS, seed=0) for c in (confidence, strict))
        high = upper_bound(values, confidence=confidence, draws=DRAWS, seed=0)
        return cls(float(values.mean()), low, surely_low, high, margin)


def _judged(bounds: dict[str, _Bounds], blurred: Sequence[str]) -> tuple[Judgement, str]:
    beyond = [metric for metric, own in bounds.items() if own.surely_low > own.margin and metric not in blurred]
    open_ones = [metric for metric, own in bounds.items() if own.high > own.margin or metric in blurred]
    if beyond:
        return "beyond a margin", ", ".join(beyond)
    return ("not shown", ", ".join(open_ones)) if open_ones else ("within every margin", "")


def break_words(steps: list[SizeStep]) -> str:
    """Which sizes are shown to keep the quality, which to lose it, and which neither."""
    if not steps:
        return "not shown: too few test takes, or no verdict"
    parts = []
    for judgement in get_args(Judgement):
        sizes = [size(step.n_bytes) for step in steps if step.judgement == judgement]
        parts.append(f"{judgement}: {', '.join(sizes) or 'no size'}")
    return "; ".join(parts)
