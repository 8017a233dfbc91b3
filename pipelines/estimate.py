"""How long training will take and how much memory, before anything is trained.

Read off a sweep of 256 configurations on a 2-core x86-64 machine without GPU (batches of 8 clips of 1 s at 16 kHz, six
FFT sizes, 50 frames/s, eight models side by side, one process per core): 12 ms a step and model, and 17 ms more for
every GFLOP of its decoder, forward and backward; 0.6 s per trial and rung for building, compiling and validating.
"""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Sequence

from tinytimbre.config import SweepConfig
from tinytimbre.sweep.limits import machine_bytes
from tinytimbre.sweep.plan import Trial
from tinytimbre.sweep.rung import GROUPS_PER_PROCESS, side_by_side
from tinytimbre.training.memory import MemoryEstimate, check_memory, estimate_memory

BASE_SECS = 0.012
SECS_PER_GFLOP = 0.017
FIXED_SHARE = 0.55
"""Of the base: harmonics, noise and optimiser; the rest is the loss, in proportion to the FFT sizes."""

TRIAL_SECS = 0.6
"""Of a trial in a rung besides its steps: its share of a process, building, compiling, validating."""

REFERENCE_FFT_SIZES = 6
REFERENCE_CLIP_SECS = 8.0
PIPELINE_BYTES = 1_000_000_000
"""Resident in the process that runs TFX and its components."""

ROUNDING_SECS = 2e-7
"""Of one weight, each step of fine-tuning: `packing.rounded` takes 33 ms for 147,726 of them."""

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
        seconds += TRIAL_SECS * n_trials
        estimates.append(RungEstimate(n_trials, n_trials * steps, seconds / jobs))
        counts = {key: _promoted(count, config) for key, count in counts.items()}
        done = target
    return estimates


def estimate_students(trials: Sequence[Trial], *, config: SweepConfig, jobs: int) -> RungEstimate:
    """Work of distillation at most: all students that may be, of average size, every step as dear as on audio."""
    steps = config.distillation.steps or config.budget.rung_steps[-1]
    n_trials = config.distillation.students * len({trial.instrument for trial in trials})
    mean_secs = sum(step_seconds(trial, config=config) for trial in trials) / len(trials)
    seconds = n_trials * steps * mean_secs + TRIAL_SECS * n_trials
    return RungEstimate(n_trials, n_trials * steps, seconds / jobs)


def estimate_tuning(n_models: int, trials: Sequence[Trial], *, config: SweepConfig) -> RungEstimate:
    """Work of fine-tuning for one quantisation, which one process does, for models of average size of `trials`."""
    steps = n_models * config.export.tuning_steps
    each = [step_seconds(trial, config=config) + ROUNDING_SECS * trial.parameters for trial in trials]
    return RungEstimate(n_models, steps, steps * sum(each) / len(each))


def step_seconds(trial: Trial, *, config: SweepConfig) -> float:
    """One optimisation step of one trial on one core."""
    training = config.training
    clip_secs = training.batch_size * training.clip_secs
    share = FIXED_SHARE + (1 - FIXED_SHARE) * len(training.fft_sizes) / REFERENCE_FFT_SIZES
    gflop = PASSES * trial.decoder_mflops * clip_secs / 1e3
    return BASE_SECS * share * clip_secs / REFERENCE_CLIP_SECS + SECS_PER_GFLOP * gflop


def largest_group(trials: Sequence[Trial], *, config: SweepConfig) -> MemoryEstimate:
    """Peak of the worker that needs most, without the recordings it holds."""
    # Groups are the larger the fewer workers share the trials.
    groups = side_by_side(trials, size=config.training.side_by_side, jobs=1)
    estimates = [
        estimate_memory([t.decoder for t in group], config=config, recorded_secs=0, groups=GROUPS_PER_PROCESS)
        for group in groups
    ]
    return max(estimates, key=lambda estimate: estimate.worker)


def check_machine(trials: Sequence[Trial], *, config: SweepConfig, jobs: int) -> None:
    """Refuses what cannot fit.

    Raises:
        TinyTimbreError: see `tinytimbre.training.memory.check_memory`.
    """
    estimate = largest_group(trials, config=config)
    check_memory(estimate, config=config, jobs=jobs, rest_bytes=PIPELINE_BYTES, machine_bytes=machine_bytes())


def _promoted(count: int, config: SweepConfig) -> int:
    return min(count, max(config.budget.min_per_stratum, math.ceil(count / config.budget.eta)))
