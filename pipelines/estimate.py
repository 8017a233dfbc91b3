"""How long training will take, before anything is trained.

Measured with `tinytimbre.training.group.ModelGroup` (batches of 8 clips of 1 s at 16 kHz, 50 frames/s, six FFT
sizes, four models side by side) on one core of a 2-core machine: a step of one model takes about
``BASE_SECS + SECS_PER_GFLOP * forward and backward work``. Smaller batches and fewer FFT sizes scale the first part.
"""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Sequence

from tinytimbre.config import SweepConfig
from tinytimbre.sweep.plan import Trial

BASE_SECS = 0.040
SECS_PER_GFLOP = 0.08
REFERENCE_FFT_SIZES = 6
REFERENCE_CLIP_SECS = 8.0
PASSES = 3
"""Forward, and backward twice as much."""


@dataclasses.dataclass(frozen=True)
class RungEstimate:
    """One rung: trials that take part, steps of all of them together, seconds on `jobs` processes."""

    n_trials: int
    steps: int
    seconds: float


def estimate_rungs(trials: Sequence[Trial], *, config: SweepConfig, jobs: int) -> list[RungEstimate]:
    """Work of every rung if nothing fails; which trials are promoted is unknown, so strata are averaged."""
    strata: dict[tuple[str, int], list[Trial]] = collections.defaultdict(list)
    for trial in trials:
        strata[trial.instrument, trial.stratum].append(trial)
    counts = {key: len(members) for key, members in strata.items()}
    estimates, done = [], 0
    for target in config.budget.rung_steps:
        steps = target - done
        seconds = sum(
            count * steps * sum(step_seconds(trial, config=config) for trial in strata[key]) / len(strata[key])
            for key, count in counts.items()
        )
        n_trials = sum(counts.values())
        estimates.append(RungEstimate(n_trials, n_trials * steps, seconds / jobs))
        counts = {key: _promoted(count, config) for key, count in counts.items()}
        done = target
    return estimates


def step_seconds(trial: Trial, *, config: SweepConfig) -> float:
    """One optimisation step of one trial on one core."""
    training = config.training
    clip_secs = training.batch_size * training.clip_secs
    share = 0.4 + 0.6 * len(training.fft_sizes) / REFERENCE_FFT_SIZES
    gflop = PASSES * trial.decoder_mflops * clip_secs / 1e3
    return BASE_SECS * share * clip_secs / REFERENCE_CLIP_SECS + SECS_PER_GFLOP * gflop


def _promoted(count: int, config: SweepConfig) -> int:
    return min(count, max(config.budget.min_per_stratum, math.ceil(count / config.budget.eta)))
