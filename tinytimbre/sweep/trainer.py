"""Trains a group of trials to a step, from wherever they are, and leaves the results in the store.

    train_trials(trials, rung=0, target_step=100, features_dir=..., store=store, config=config)

Interrupted at any moment it continues from the last checkpoint with the same batches, so the result is that of an
undisturbed run.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence

import numpy as np

from tinytimbre.config import SweepConfig
from tinytimbre.decoders import InputRange
from tinytimbre.features.examples import TakeFeatures, read_features
from tinytimbre.sweep.plan import Trial
from tinytimbre.sweep.store import RungResult, TrialStore
from tinytimbre.synthesis.batched import ClipShape
from tinytimbre.training.clips import ClipPool
from tinytimbre.training.group import ModelGroup

CURVE_POINTS = 20
VALIDATION_BATCHES = 4
Progress = Callable[[int], None]


def train_trials(
    trials: Sequence[Trial],
    *,
    rung: int,
    target_step: int,
    features_dir: str,
    store: TrialStore,
    config: SweepConfig,
    on_step: Progress,
) -> None:
    """Trains trials of one instrument side by side until `target_step` and records the rung's results.

    Args:
        trials: of one instrument, all at the same step.
        rung: whose results are written.
        target_step: where the rung ends.
        features_dir: a Features artifact.
        store: holds the checkpoints and takes the results.
        config: the sweep.
        on_step: called after every step with the number of trial steps done since the last call.
    """
    run = _Run.start(trials, features_dir=features_dir, store=store, config=config)
    saved = time.monotonic()
    while run.step < target_step:
        run.advance()
        on_step(len(trials))
        if time.monotonic() - saved > config.training.checkpoint_secs:
            run.save()
            saved = time.monotonic()
    run.finish(rung)


@dataclasses.dataclass
class _Run:
    """A group on its way: models, data, step and what the curves hold so far."""

    trials: Sequence[Trial]
    group: ModelGroup
    train: ClipPool
    validation: ClipPool
    store: TrialStore
    config: SweepConfig
    step: int
    losses: list[np.ndarray] = dataclasses.field(default_factory=list)
    seconds: float = 0.0

    @classmethod
    def start(cls, trials: Sequence[Trial], *, features_dir: str, store: TrialStore, config: SweepConfig) -> _Run:
        instrument = trials[0].instrument
        train = clip_pool(read_features(features_dir, split="train", instrument=instrument), config)
        validation = clip_pool(read_features(features_dir, split="validation", instrument=instrument), config)
        group = ModelGroup(
            [trial.decoder for trial in trials],
            seeds=[trial.seed for trial in trials],
            input_ranges=[InputRange.of(train.inputs(trial.decoder.input)) for trial in trials],
            learning_rates=[trial.learning_rate for trial in trials],
            total_steps=config.budget.rung_steps[-1],
            shape=train.shape,
            config=config.training,
        )
        run = cls(trials, group, train, validation, store, config, step=0)
        run._restore()
        return run

    def advance(self) -> None:
        """One step of every model."""
        started = time.monotonic()
        batch = self.train.training_batch(seed=self.config.seed, step=self.step)
        self.losses.append(self.group.train_step(batch, step=self.step))
        self.step += 1
        self.seconds += time.monotonic() - started

    def save(self) -> None:
        """Checkpoints every trial, so that no work older than this can be lost."""
        rows = self._curve_rows()
        for index, trial in enumerate(self.trials):
            earlier = [row for row in self.store.curve(trial.trial_id) if row["step"] < rows[index][0]["step"]]
            self.store.write_curve(trial.trial_id, earlier + rows[index])
            state = self.group.optimisers[index].state()
            self.store.write_checkpoint(trial.trial_id, step=self.step, state=state)
        self.losses.clear()

    def finish(self, rung: int) -> None:
        """Validates, and writes checkpoint, weights and result of every trial."""
        losses = self.group.validation_losses(self.validation.validation_batches(max_batches=VALIDATION_BATCHES))
        if self.losses:
            self.save()
        for index, trial in enumerate(self.trials):
            curve = self.store.curve(trial.trial_id)
            curve[-1]["validation_loss"] = float(losses[index])
            self.store.write_curve(trial.trial_id, curve)
            weights = self.group.optimisers[index].averaged_weights()
            self.store.write_weights(trial.trial_id, rung=rung, weights=weights)
            self.store.write_result(self._result(trial, rung, float(losses[index])))

    def _restore(self) -> None:
        for trial, optimiser in zip(self.trials, self.group.optimisers, strict=True):
            checkpoint = self.store.checkpoint(trial.trial_id)
            self.store.write_trial(trial)
            if checkpoint is not None:
                self.step, state = checkpoint
                optimiser.restore(state)

    def _curve_rows(self) -> list[list[dict[str, float]]]:
        """Per trial the mean training loss over equal stretches of the steps since the last save."""
        stretch = max(1, self.config.budget.rung_steps[-1] // (CURVE_POINTS * 5))
        losses = np.array(self.losses)
        first = self.step - len(losses)
        ends = [*range(stretch, len(losses), stretch), len(losses)]
        starts = [0, *ends[:-1]]
        return [
            [
                {"step": first + end, "train_loss": float(losses[start:end, index].mean())}
                for start, end in zip(starts, ends, strict=True)
            ]
            for index in range(len(self.trials))
        ]

    def _result(self, trial: Trial, rung: int, loss: float) -> RungResult:
        common = {"trial_id": trial.trial_id, "rung": rung, "step": self.step}
        seconds = round(self.seconds / len(self.trials), 3)
        if np.isfinite(loss):
            return RungResult(**common, status="done", validation_loss=loss, train_seconds=seconds)
        reason = f"diverged: the loss is {loss} after step {self.step}; a smaller learning rate usually helps"
        return RungResult(**common, status="failed", reason=reason, train_seconds=seconds)


def clip_pool(takes: list[TakeFeatures], config: SweepConfig) -> ClipPool:
    """Takes as clips of the length and number that the configuration asks for."""
    rate = config.features.frame_rate_hz
    shape = ClipShape(
        clips=config.training.batch_size,
        frames=max(2, round(config.training.clip_secs * rate)),
        hop=config.hop,
        sample_rate_hz=config.audio.sample_rate_hz,
    )
    return ClipPool(takes, shape=shape, warmup_frames=round(config.training.warmup_secs * rate))
