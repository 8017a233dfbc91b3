"""Fine-tuning through the rounding of the export: finished weights learn to live with few bits.

    tune_trials(finalists, quantisation="tuned3", features_dir="features", store=store, config=config)
    decoder = tuned_decoder(trial_id, quantisation="tuned3", store=store, config=config)

A step of its own after the rungs: a few hundred steps at a fraction of the trial's learning rate, in which the loss
hears the rounded weights. Where the rounded validation loss does not fall, the weights stay those of the trial.
Interrupted it continues from its checkpoint; what is finished is never done again.
"""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tinytimbre.config import TUNED_BITS, Quantisation, SweepConfig
from tinytimbre.progress import ProgressEvent, report
from tinytimbre.sweep.plan import Trial
from tinytimbre.sweep.store import TrialStore

if TYPE_CHECKING:
    from tinytimbre.decoders import Decoder
    from tinytimbre.synthesis.batched import ClipShape
    from tinytimbre.training.clips import ClipPool
    from tinytimbre.training.group import ModelGroup

TUNING_VERSION = 1
"""Raise it with every change that alters what tuning learns."""

RATE_SHARE = 0.2
LOSS = "validation_loss_before"


def tune_trials(
    trials: Sequence[Trial],
    *,
    quantisation: Quantisation,
    features_dir: str,
    store: TrialStore,
    config: SweepConfig,
) -> None:
    """Tunes finished trials and leaves their weights in the store.

    Args:
        trials: of any instruments, each with a finished rung.
        quantisation: one of `tinytimbre.config.TUNED_BITS`.
        features_dir: the Features artifact that the trials were trained on.
        store: of the trials.
        config: the sweep; ``export.tuning_steps`` says how long.
    """
    key, done = tuning_key(quantisation, config), 0
    with store.lock(*(trial.trial_id for trial in trials)):
        waiting = [trial for trial in trials if store.tuned(trial.trial_id, key) is None]
        for group in _groups(waiting, key=key, store=store, config=config):
            _tune(group, quantisation=quantisation, features_dir=features_dir, store=store, config=config)
            done += len(group)
            report(ProgressEvent(f"tune {quantisation}", done, len(waiting), "models"))


def tuned_decoder(trial_id: str, *, quantisation: Quantisation, store: TrialStore, config: SweepConfig) -> Decoder:
    """The decoder with the weights that `tune_trials` left.

    Raises:
        KeyError: the trial was not tuned for this quantisation.
    """
    weights = store.tuned(trial_id, tuning_key(quantisation, config))
    if weights is None:
        raise KeyError(f"{trial_id} was not tuned for {quantisation}")
    decoder = store.load_decoder(trial_id)
    decoder.set_weights(weights)
    return decoder


def tuning_key(quantisation: Quantisation, config: SweepConfig) -> str:
    """Names everything besides the trial that the result depends on."""
    return f"{quantisation}-{config.export.tuning_steps}-v{TUNING_VERSION}"


def _groups(
    trials: Sequence[Trial], *, key: str, store: TrialStore, config: SweepConfig
) -> Iterator[tuple[Trial, ...]]:
    """Trials of one instrument that stand at the same step, as many as train side by side."""

    def place(trial: Trial) -> tuple[str, int]:
        checkpoint = store.tuning(trial.trial_id, key)
        return trial.instrument, 0 if checkpoint is None else checkpoint[0]

    for _, same in itertools.groupby(sorted(trials, key=place), key=place):
        together, size = tuple(same), config.training.side_by_side
        yield from (together[start : start + size] for start in range(0, len(together), size))


def _tune(
    trials: Sequence[Trial], *, quantisation: Quantisation, features_dir: str, store: TrialStore, config: SweepConfig
) -> None:
    run = _Tuning.start(trials, quantisation=quantisation, features_dir=features_dir, store=store, config=config)
    saved = time.monotonic()
    while run.step < config.export.tuning_steps:
        run.advance()
        if time.monotonic() - saved > config.training.checkpoint_secs:
            run.save()
            saved = time.monotonic()
    run.finish()


@dataclasses.dataclass
class _Tuning:
    """A group on its way; ``before`` holds the rounded validation losses of the weights as they were trained."""

    trials: Sequence[Trial]
    group: ModelGroup
    train: ClipPool
    validation: ClipPool
    store: TrialStore
    config: SweepConfig
    key: str
    step: int
    before: np.ndarray

    @classmethod
    def start(
        cls,
        trials: Sequence[Trial],
        *,
        quantisation: Quantisation,
        features_dir: str,
        store: TrialStore,
        config: SweepConfig,
    ) -> _Tuning:
        from tinytimbre.sweep.trainer import clip_pools
        from tinytimbre.training.rounding import rounded_view

        train, validation = clip_pools(trials, features_dir=features_dir, config=config)
        group = _group(trials, store=store, shape=train.shape, config=config)
        for decoder in group.decoders:
            decoder.compute_through(rounded_view(bits=TUNED_BITS[quantisation]))
        key = tuning_key(quantisation, config)
        run = cls(trials, group, train, validation, store, config, key, step=0, before=np.zeros(0))
        run._restore()
        return run

    def advance(self) -> None:
        """One step of every model, on the batches that come after those of the last rung."""
        number = self.config.budget.rung_steps[-1] + self.step
        batch = self.train.training_batch(seed=self.config.seed, step=number)
        self.group.train_step(batch, step=self.step)
        self.step += 1

    def save(self) -> None:
        """Checkpoints every trial."""
        for index, trial in enumerate(self.trials):
            state = {**self.group.optimisers[index].state(), LOSS: self.before[index]}
            self.store.write_tuning(trial.trial_id, self.key, step=self.step, state=state)

    def finish(self) -> None:
        """Keeps what is better after rounding: the tuned weights or the trial's own."""
        after = self._losses()
        for index, trial in enumerate(self.trials):
            tuned = self.group.optimisers[index].averaged_weights()
            own = self.store.load_decoder(trial.trial_id).get_weights()
            better = after[index] < self.before[index]  # not so if it diverged
            self.store.write_tuned(trial.trial_id, self.key, weights=tuned if better else own)

    def _losses(self) -> np.ndarray:
        from tinytimbre.sweep.trainer import VALIDATION_BATCHES

        return self.group.validation_losses(self.validation.validation_batches(max_batches=VALIDATION_BATCHES))

    def _restore(self) -> None:
        """From the checkpoints, which all stand at the same step, or else from the trials' own weights."""
        found = [self.store.tuning(trial.trial_id, self.key) for trial in self.trials]
        for optimiser, checkpoint in zip(self.group.optimisers, found, strict=True):
            if checkpoint is not None:
                optimiser.restore({name: value for name, value in checkpoint[1].items() if name != LOSS})
        if all(checkpoint is not None for checkpoint in found):
            self.step = max(checkpoint[0] for checkpoint in found if checkpoint is not None)
            self.before = np.array([checkpoint[1][LOSS] for checkpoint in found if checkpoint is not None])
        else:
            self.before = self._losses()


def _group(trials: Sequence[Trial], *, store: TrialStore, shape: ClipShape, config: SweepConfig) -> ModelGroup:
    """The trials' models as they were trained, with optimisers that start from there."""
    from tinytimbre.decoders import InputRange
    from tinytimbre.training.group import ModelGroup
    from tinytimbre.training.optimiser import Adam

    group = ModelGroup(
        [trial.decoder for trial in trials],
        seeds=[trial.seed for trial in trials],
        input_ranges=[InputRange() for _ in trials],  # of weights that are replaced at once
        learning_rates=[trial.learning_rate * RATE_SHARE for trial in trials],
        total_steps=config.export.tuning_steps,
        shape=shape,
        config=config.training,
    )
    for index, (trial, decoder) in enumerate(zip(trials, group.decoders, strict=True)):
        decoder.set_weights(store.load_decoder(trial.trial_id).get_weights())
        group.optimisers[index] = Adam(decoder.weights, clip_norm=config.training.gradient_clip_norm)
    return group
