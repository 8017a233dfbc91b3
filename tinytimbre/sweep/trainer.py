"""Trains a group of trials to a step, from wherever they are, and leaves the results in the store.

    train_trials(trials, rung=0, target_step=100, features_dir=..., store=store, config=config)

Interrupted at any moment it continues from the last checkpoint with the same batches, so the result is that of an
undisturbed run. Students learn their teacher's controls first and from audio then; which of the two follows from the
step alone.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np

from tinytimbre.config import SweepConfig
from tinytimbre.decoders import InputRange
from tinytimbre.features.examples import read_features
from tinytimbre.sweep.accounts import TRAINING, Stopwatch
from tinytimbre.sweep.plan import Trial
from tinytimbre.sweep.store import SECONDS_KEY, RungResult, TrialStore
from tinytimbre.synthesis.batched import ClipShape
from tinytimbre.synthesis.reverb import RESPONSE_SECS
from tinytimbre.training.clips import ClipPool
from tinytimbre.training.distillation import Distiller
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
    clock: Stopwatch,
) -> None:
    """Trains trials of one instrument side by side until `target_step` and records the rung's results.

    Args:
        trials: of one instrument, all at the same step; all students of one teacher, or none.
        rung: whose results are written.
        target_step: where the rung ends.
        features_dir: a Features artifact.
        store: holds the checkpoints and takes the results.
        config: the sweep.
        on_step: called after every step with the number of trial steps done since the last call.
        clock: told where the time went.
    """
    run = _Run.start(trials, rung=rung, features_dir=features_dir, store=store, config=config, clock=clock)
    advance_to(target_step, run=run, checkpoint_secs=config.training.checkpoint_secs, on_step=on_step)
    run.finish(rung)


class Advancing(Protocol):
    """A group of trials on its way."""

    trials: Sequence[Trial]
    step: int

    def advance(self) -> None:
        """One step of every trial."""

    def save(self) -> None:
        """Checkpoints every trial."""


def advance_to(target_step: int, *, run: Advancing, checkpoint_secs: float, on_step: Progress) -> None:
    """Steps until `target_step`, with a checkpoint every `checkpoint_secs`; `on_step` as in `train_trials`."""
    saved = time.monotonic()
    while run.step < target_step:
        run.advance()
        on_step(len(run.trials))
        if time.monotonic() - saved > checkpoint_secs:
            run.save()
            saved = time.monotonic()


@dataclasses.dataclass
class _Run:
    """A group on its way: models, data, step and what the curves hold so far.

    ``earlier_secs`` is what other processes have spent on training each trial, in earlier rungs or until a kill;
    ``rungs_secs`` is the part of it that lies in earlier rungs.
    """

    trials: Sequence[Trial]
    group: ModelGroup
    train: ClipPool
    validation: ClipPool
    store: TrialStore
    config: SweepConfig
    clock: Stopwatch
    distiller: Distiller | None = None
    step: int = 0
    losses: list[np.ndarray] = dataclasses.field(default_factory=list)
    step_secs: list[float] = dataclasses.field(default_factory=list)
    earlier_secs: list[float] = dataclasses.field(default_factory=list)
    rungs_secs: list[float] = dataclasses.field(default_factory=list)

    @classmethod
    def start(
        cls,
        trials: Sequence[Trial],
        *,
        rung: int,
        features_dir: str,
        store: TrialStore,
        config: SweepConfig,
        clock: Stopwatch,
    ) -> _Run:
        with clock.part("data"):
            train, validation = clip_pools(trials, features_dir=features_dir, config=config)
        with clock.part("building"):
            group = ModelGroup(
                [trial.decoder for trial in trials],
                seeds=[trial.seed for trial in trials],
                input_ranges=[InputRange.of(train.inputs(trial.decoder.input)) for trial in trials],
                learning_rates=[trial.learning_rate for trial in trials],
                total_steps=_total_steps(trials[0], config),
                shape=train.shape,
                config=config.training,
            )
            distiller = _distiller(trials, group, rung=rung, store=store)
            run = cls(trials, group, train, validation, store, config, clock, distiller)
            run._restore(rung)
        return run

    @property
    def control_steps(self) -> int:
        """Steps before this one learn from controls."""
        distillation = self.trials[0].distillation
        return distillation.control_steps if distillation else 0

    def advance(self) -> None:
        """One step of every model."""
        started = time.monotonic()
        batch = self.train.training_batch(seed=self.config.seed, step=self.step)
        if self.distiller and self.step < self.control_steps:
            self.losses.append(self.distiller.train_step(batch, step=self.step))
        else:
            self.losses.append(self.group.train_step(batch, step=self.step))
        self.step += 1
        self.step_secs.append(time.monotonic() - started)
        if self.step == self.control_steps:
            # What follows is another quantity; a row of the curve must not mix the two.
            self.save()

    def save(self) -> None:
        """Checkpoints every trial, so that no work older than this can be lost; nothing where none was done since."""
        if self.losses:
            with self.clock.part("checkpoints"):
                self._save(self._curves())

    def _save(self, curves: Sequence[list[dict[str, float]]]) -> None:
        for index, (trial, curve) in enumerate(zip(self.trials, curves, strict=True)):
            self.store.write_curve(trial.trial_id, curve)
            state = {**self.group.optimisers[index].state(), SECONDS_KEY: np.array(self._spent_secs(index))}
            self.store.write_checkpoint(trial.trial_id, step=self.step, state=state)
        self.losses.clear()

    def finish(self, rung: int) -> None:
        """Validates, and writes checkpoint, weights and result of every trial."""
        self._count_steps()
        with self.clock.part("validation"):
            batches = self.validation.validation_batches(max_batches=VALIDATION_BATCHES)
            losses = self.group.validation_losses(batches)
            weights = [optimiser.averaged_weights() for optimiser in self.group.optimisers]
        with self.clock.part("checkpoints"):
            curves = self._curves()
            for curve, loss in zip(curves, losses, strict=True):
                curve[-1]["validation_loss"] = float(loss)
            self._save(curves)
            for index, (curve, own) in enumerate(zip(curves, weights, strict=True)):
                self.store.write_weights(self.trials[index].trial_id, rung=rung, weights=own)
                self.store.write_result(self._result(index, rung, curve=curve, weights=own))

    def _count_steps(self) -> None:
        """The first step of a process traces and compiles, and so does a student's first on audio."""
        start = self.step - len(self.step_secs)
        switch = max(0, self.control_steps - start)
        book_steps(self.step_secs[:switch], clock=self.clock)
        book_steps(self.step_secs[switch:], clock=self.clock)

    def _restore(self, rung: int) -> None:
        for trial, optimiser in zip(self.trials, self.group.optimisers, strict=True):
            checkpoint = self.store.checkpoint(trial.trial_id)
            self.store.write_trial(trial)
            before = sum(r.train_seconds for r in self.store.results(trial.trial_id) if r.rung < rung)
            self.rungs_secs.append(before)
            if checkpoint is not None:
                self.step, state = checkpoint
                optimiser.restore(state)
                # Checkpoints of earlier versions do not say.
                before = float(state.get(SECONDS_KEY, before))
            self.earlier_secs.append(before)

    def _spent_secs(self, index: int) -> float:
        """On training a trial, in all its rungs up to now; those who train side by side share the time equally."""
        return self.earlier_secs[index] + sum(self.step_secs) / len(self.trials)

    def _curves(self) -> list[list[dict[str, float]]]:
        """What the store has of every trial's curve, continued by the losses since the last save."""
        new = self._new_rows() if self.losses else [[] for _ in self.trials]
        first = self.step - len(self.losses)
        stored = self.store.curves(trial.trial_id for trial in self.trials)
        return [
            [row for row in stored.get(trial.trial_id, []) if row["step"] <= first] + rows
            for trial, rows in zip(self.trials, new, strict=True)
        ]

    def _new_rows(self) -> list[list[dict[str, float]]]:
        """Per trial the mean loss (or control distance) over equal stretches of the steps since the last save."""
        quantity = "control_distance" if self.step <= self.control_steps else "train_loss"
        stretch = max(1, self.config.budget.rung_steps[-1] // (CURVE_POINTS * 5))
        losses = np.array(self.losses)
        first = self.step - len(losses)
        ends = [*range(stretch, len(losses), stretch), len(losses)]
        starts = [0, *ends[:-1]]
        return [
            [
                {"step": first + end, quantity: float(losses[start:end, index].mean())}
                for start, end in zip(starts, ends, strict=True)
            ]
            for index in range(len(self.trials))
        ]

    def _result(
        self, index: int, rung: int, *, curve: Sequence[Mapping[str, float]], weights: Mapping[str, np.ndarray]
    ) -> RungResult:
        common = {"trial_id": self.trials[index].trial_id, "rung": rung, "step": self.step}
        seconds = round(max(0.0, self._spent_secs(index) - self.rungs_secs[index]), 3)
        found = divergence(curve, weights=weights)
        if not found:
            loss = curve[-1]["validation_loss"]
            return RungResult(**common, status="done", validation_loss=loss, train_seconds=seconds)
        reason = f"diverged: {found} after step {self.step}; a smaller learning rate usually helps"
        return RungResult(**common, status="failed", reason=reason, train_seconds=seconds)


def book_steps(step_secs: Sequence[float], *, clock: Stopwatch) -> None:
    """Counts steps as training, but for what the first of them took longer than the others."""
    first, *others = step_secs or [0.0]
    tracing = max(0.0, first - float(np.median(others))) if others else first
    clock.seconds["tracing"] += tracing
    clock.seconds[TRAINING] += sum(step_secs) - tracing


def _total_steps(trial: Trial, config: SweepConfig) -> int:
    return trial.distillation.steps if trial.distillation else config.budget.rung_steps[-1]


def _distiller(trials: Sequence[Trial], group: ModelGroup, *, rung: int, store: TrialStore) -> Distiller | None:
    """With the teacher as it left the rung; None where there are no students."""
    distillation = trials[0].distillation
    if distillation is None:
        return None
    return Distiller(
        store.load_decoder(distillation.teacher_id, rung=rung),
        students=group.decoders,
        optimisers=group.optimisers,
        learning_rates=[trial.learning_rate for trial in trials],
        total_steps=distillation.steps,
        shape=group.shape,
    )


def divergence(curve: Sequence[Mapping[str, float]], *, weights: Mapping[str, np.ndarray]) -> str:
    """What shows that a trial is lost for good; empty where nothing does, however badly it plays.

    Args:
        curve: its losses so far, the validation loss with them: that is no number as soon as one control of the
            validation clips is none, since all of them are heard.
        weights: what would be exported; they must fit into float16, one of the formats they are exported in.
    """
    bad = next((f"{key} is {row[key]}" for row in curve for key in row if not math.isfinite(row[key])), "")
    if bad:
        return bad.replace("_", " ").replace("train ", "training ")
    for name, values in weights.items():
        if not np.abs(values).max(initial=0.0) <= np.finfo(np.float16).max:
            return f"the weights {name} reach {np.abs(values).max():.3g}"
    return ""


def clip_shape(config: SweepConfig) -> ClipShape:
    """Of the batches of a sweep."""
    return ClipShape(
        clips=config.training.batch_size,
        frames=max(2, round(config.training.clip_secs * config.features.frame_rate_hz)),
        hop=config.hop,
        sample_rate_hz=config.audio.sample_rate_hz,
    )


def clip_pools(trials: Sequence[Trial], *, features_dir: str, config: SweepConfig) -> tuple[ClipPool, ClipPool]:
    """Training and validation clips of the trials' instrument, with a past where one of them has a room."""
    past_secs = RESPONSE_SECS if any(trial.decoder.reverb_bands for trial in trials) else 0.0
    train, validation = (
        _read_pool(
            features_dir,
            split,
            trials[0].instrument,
            shape=clip_shape(config),
            warmup_frames=round(config.training.warmup_secs * config.features.frame_rate_hz),
            past_samples=round(past_secs * config.audio.sample_rate_hz),
        )
        for split in ("train", "validation")
    )
    return train, validation


@functools.lru_cache(maxsize=2)
def _read_pool(
    features_dir: str, split: str, instrument: str, *, shape: ClipShape, warmup_frames: int, past_samples: int
) -> ClipPool:
    """Kept for the next group of this process: a Features artifact does not change."""
    takes = read_features(features_dir, split=split, instrument=instrument)
    return ClipPool(takes, shape=shape, warmup_frames=warmup_frames, past_samples=past_samples)
