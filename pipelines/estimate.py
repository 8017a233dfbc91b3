"""How long training will take, how much memory and how much of the disk, before anything is trained.

Read off a sweep of 256 configurations on a 2-core x86-64 machine without GPU (batches of 8 clips of 1 s at 16 kHz, six
FFT sizes, 50 frames/s, eight models side by side, one process per core): 12 ms a step and model, and 17 ms more for
every GFLOP of its decoder, forward and backward; 0.6 s per trial and rung for building, compiling and validating.
"""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Sequence

from pipelines.workspace import needed_bytes
from tinytimbre.config import MIN_SEEDS, TUNED_BITS, SweepConfig
from tinytimbre.sweep.limits import machine_bytes
from tinytimbre.sweep.plan import Trial
from tinytimbre.sweep.processes import GROUPS_PER_PROCESS
from tinytimbre.sweep.rung import side_by_side
from tinytimbre.training.memory import MemoryEstimate, check_memory, estimate_memory, room_samples

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

ROOM_SECS_PER_SAMPLE = 2.4e-8
"""Of a room, for every sample of the transforms that convolve a batch with it: half the base in 8 clips of 1 s.

Steps of the four CNNs of `make bench-memory` took 83 ms with rooms and 55 without (2-core machine, CPU time).
"""

ROUNDING_SECS = 2e-7
"""Of one weight, each step of fine-tuning: `packing.rounded` takes 33 ms for 147,726 of them."""

PASSES = 3
"""Forward, and backward twice as much."""

_Stratum = tuple[str, int]


@dataclasses.dataclass(frozen=True)
class RungEstimate:
    """One rung: trials that take part, steps of all of them together, seconds on `jobs` processes."""

    n_trials: int
    steps: int
    seconds: float


def estimate_rungs(trials: Sequence[Trial], *, config: SweepConfig, jobs: int) -> list[RungEstimate]:
    """Work of every rung if nothing fails.

    Which trials are promoted is unknown, so strata are averaged. The configuration that goes on with all its seeds is
    taken for one of which no other seed would have been promoted.
    """
    members: dict[_Stratum, list[Trial]] = collections.defaultdict(list)
    for trial in trials:
        members[trial.instrument, trial.stratum].append(trial)
    counts, replicas = {stratum: len(own) for stratum, own in members.items()}, _replicas(trials)
    estimates, done = [], 0
    for target in config.budget.rung_steps:
        steps = target - done
        seconds = sum(count * steps * _mean_secs(members[stratum], config) for stratum, count in counts.items())
        n_trials = sum(counts.values())
        seconds += TRIAL_SECS * n_trials
        estimates.append(RungEstimate(n_trials, n_trials * steps, seconds / jobs))
        counts = {
            stratum: min(count, _promoted(count, config) + replicas.get(stratum, 0))
            for stratum, count in counts.items()
        }
        done = target
    return estimates


def _replicas(trials: Sequence[Trial]) -> dict[_Stratum, int]:
    """How many go on whatever their losses: the other seeds of an instrument's configuration with the most of them."""
    families: dict[tuple[str, str], list[Trial]] = collections.defaultdict(list)
    for trial in trials:
        families[trial.instrument, trial.family].append(trial)
    most = {instrument: own for (instrument, _), own in sorted(families.items(), key=lambda entry: len(entry[1]))}
    return {(name, own[0].stratum): len(own) - 1 for name, own in most.items() if len(own) >= MIN_SEEDS}


def _mean_secs(trials: Sequence[Trial], config: SweepConfig) -> float:
    return sum(step_seconds(trial, config=config) for trial in trials) / len(trials)


def estimate_students(trials: Sequence[Trial], *, config: SweepConfig, jobs: int) -> RungEstimate:
    """Work of distillation at most: all students that may be, of average size, every step as dear as on audio."""
    steps = config.distillation.steps or config.budget.rung_steps[-1]
    n_trials = config.distillation.students * len({trial.instrument for trial in trials})
    seconds = n_trials * steps * _mean_secs(trials, config) + TRIAL_SECS * n_trials
    return RungEstimate(n_trials, n_trials * steps, seconds / jobs)


def estimate_tuning(n_models: int, trials: Sequence[Trial], *, config: SweepConfig, jobs: int) -> RungEstimate:
    """Work of fine-tuning for one quantisation, for models of average size of `trials`."""
    steps = n_models * config.export.tuning_steps
    rounding = ROUNDING_SECS * sum(trial.parameters for trial in trials) / len(trials)
    seconds = steps * (_mean_secs(trials, config) + rounding) + TRIAL_SECS * n_models
    return RungEstimate(n_models, steps, seconds / jobs)


def estimate_disk(trials: Sequence[Trial], *, config: SweepConfig, recorded_bytes: int) -> int:
    """Bytes that a run writes at most: students and tuned models count as further trials, all as large as the largest.

    Args:
        trials: of the plan.
        config: of the sweep.
        recorded_bytes: size of the recordings.
    """
    n_students = estimate_students(trials, config=config, jobs=1).n_trials if config.distillation.enabled else 0
    n_finalists = estimate_rungs(trials, config=config, jobs=1)[-1].n_trials + n_students
    further = n_students + n_finalists * sum(one in TUNED_BITS for one in config.export.quantisations)
    parameters = [trial.parameters for trial in trials]
    return needed_bytes(
        recorded_bytes=recorded_bytes,
        n_trials=len(trials) + further,
        parameters=sum(parameters) + further * max(parameters),
    )


def step_seconds(trial: Trial, *, config: SweepConfig) -> float:
    """One optimisation step of one trial on one core."""
    training = config.training
    clip_secs = training.batch_size * training.clip_secs
    share = FIXED_SHARE + (1 - FIXED_SHARE) * len(training.fft_sizes) / REFERENCE_FFT_SIZES
    gflop = PASSES * trial.decoder_mflops * clip_secs / 1e3
    room = ROOM_SECS_PER_SAMPLE * training.batch_size * room_samples(config) if trial.decoder.reverb_bands else 0.0
    return BASE_SECS * share * clip_secs / REFERENCE_CLIP_SECS + SECS_PER_GFLOP * gflop + room


def largest_group(trials: Sequence[Trial], *, config: SweepConfig) -> MemoryEstimate:
    """Peak of the worker that needs most, without the recordings it holds; anyone may become teacher of the smaller."""
    largest = max(trials, key=lambda trial: trial.parameters)
    rounds: list[tuple[list[Trial], Trial | None]] = [(list(trials), None)]
    if config.distillation.enabled:
        rounds.append(([trial for trial in trials if trial.parameters < largest.parameters], largest))
    estimates = [
        estimate_memory(
            [trial.decoder for trial in group],
            config=config,
            recorded_secs=0,
            groups=GROUPS_PER_PROCESS,
            teacher=teacher.decoder if teacher else None,
        )
        for own, teacher in rounds
        # Groups are the larger the fewer workers share the trials.
        for group in side_by_side(own, size=config.training.side_by_side, jobs=1)
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
    return max(config.budget.min_per_stratum, math.ceil(count / config.budget.eta))
