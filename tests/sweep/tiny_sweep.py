"""A tiny instrument and a sweep over it that really trains."""

from __future__ import annotations

import pathlib

import numpy as np

from tinytimbre.config import SweepConfig
from tinytimbre.features.examples import TakeFeatures
from tinytimbre.sweep import TrialStore, plan_sweep, promote, train_rung

HOP = 320


def take(name: str, *, f0_hz: float, frames: int = 60) -> TakeFeatures:
    """A decaying harmonic tone with its true features."""
    seconds = np.arange(frames * HOP) / 16_000
    level = np.exp(-2 * seconds)
    audio = level * sum(np.sin(2 * np.pi * f0_hz * h * seconds) / h for h in range(1, 6)) * 0.2
    decibels = 20 * np.log10(0.2 * level[::HOP])
    return TakeFeatures(
        recording_id=name,
        take_id=name,
        instrument="tone",
        audio=audio.astype(np.float32),
        f0_hz=np.full(frames, f0_hz, np.float32),
        f0_confidence=np.ones(frames, np.float32),
        loudness_db=decibels.astype(np.float32),
        rms_energy_db=decibels.astype(np.float32),
    )


def config(*, steps: tuple[int, ...] = (4, 12), **training: object) -> SweepConfig:
    values = {"batch_size": 2, "clip_secs": 0.5, "fft_sizes": [512, 64], "side_by_side": 2, **training}
    space = {"harmonics": [8], "noise_bands": [9], "input": ["loudness"], "width": [4, 8], "depth": [1]}
    search = {"space": {"decoder": ["gru", "cnn"], **space}}
    budget = {"rung_steps": list(steps), "eta": 2, "strata": 2}
    return SweepConfig.model_validate({"name": "tiny", "search": search, "training": values, "budget": budget})


def run(settings: SweepConfig, store: TrialStore, features_dir: pathlib.Path, *, jobs: int = 2) -> dict[str, float]:
    """All rungs; returns every trial's last validation loss."""
    plan = plan_sweep(settings, fingerprints={"tone": "f"})
    ids, losses = [trial.trial_id for trial in plan.trials], {}
    for rung in range(len(plan.rungs)):
        results = train_rung(
            plan, trial_ids=ids, rung=rung, features_dir=str(features_dir), store=store, config=settings, jobs=jobs
        )
        losses.update({result.trial_id: result.validation_loss for result in results})
        ids = promote(plan, results, budget=settings.budget)
    return {trial_id: loss for trial_id, loss in losses.items() if loss is not None}
