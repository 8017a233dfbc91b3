"""Fine-tuning through the rounding of the export: finished weights learn to live with few bits.

    results = tune_trials(finalists, quantisation="tuned3", features_dir="features", store=store, config=config, jobs=2)
    decoder = tuned_decoder(trial_id, quantisation="tuned3", store=store, config=config)

A step of its own after the rungs: a few hundred steps at a fraction of the trial's learning rate, in which the loss
hears the rounded weights. Where the rounded validation loss does not fall, the weights stay those of the trial.
Interrupted it continues from its checkpoint; what is finished is never done again.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tinytimbre.config import TUNED_BITS, Quantisation, SweepConfig
from tinytimbre.sweep.accounts import Stage, Stopwatch
from tinytimbre.sweep.plan import Trial
from tinytimbre.sweep.processes import Work, run_in_processes
from tinytimbre.sweep.rung import side_by_side
from tinytimbre.sweep.store import SECONDS_KEY, TrialStore, TuningResult

if TYPE_CHECKING:
    from tinytimbre.decoders import Decoder
    from tinytimbre.synthesis.batched import ClipShape
    from tinytimbre.training.clips import ClipPool
    from tinytimbre.training.group import ModelGroup

TUNING_VERSION = 2
"""Raise it with every change that alters what tuning learns."""

FIRST_BATCH = 2**41
"""Number of the batch that tuning begins with: none of training has it, however many steps that takes."""

RATE_SHARE = 0.2
LOSS = "validation_loss_before"


def tune_trials(
    trials: Sequence[Trial],
    *,
    quantisation: Quantisation,
    features_dir: str,
    store: TrialStore,
    config: SweepConfig,
    jobs: int,
) -> list[TuningResult]:
    """Tunes finished trials and leaves their weights in the store.

    Args:
        trials: of any instruments, each with a finished rung.
        quantisation: one of `tinytimbre.config.TUNED_BITS`.
        features_dir: the Features artifact that the trials were trained on.
        store: of the trials.
        config: the sweep; ``export.tuning_steps`` says how long.
        jobs: processes at a time, at least 1.

    Returns:
        One result per trial, in their order.

    Raises:
        TinyTimbreError: the disk is full.
    """
    key, last_rung = tuning_key(quantisation, config), len(config.budget.rung_steps) - 1
    work = _TuningWork(store, config, features_dir, last_rung, config.export.tuning_steps, quantisation)
    for trial in trials:
        earlier = store.tuning_result(trial.trial_id, key)
        if earlier is not None and earlier.status == "failed":
            store.forget_tuning(trial.trial_id, key)
    waiting = [trial for trial in trials if not work.is_finished(trial)]
    if waiting:
        groups = side_by_side(waiting, size=config.training.side_by_side, jobs=jobs)
        run_in_processes(work, list(groups), n_steps=work.target_step * len(trials), jobs=jobs)
    results = [store.tuning_result(trial.trial_id, key) for trial in trials]
    return [result for result in results if result is not None]


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


@dataclasses.dataclass(frozen=True)
class _TuningWork(Work):
    """Fine-tuning for one quantisation."""

    quantisation: Quantisation

    @property
    def stage(self) -> Stage:
        return "fine-tuning"

    @property
    def label(self) -> str:
        return f"tune {self.quantisation}"

    @property
    def key(self) -> str:
        return tuning_key(self.quantisation, self.config)

    def is_finished(self, trial: Trial) -> bool:
        return self.store.tuning_result(trial.trial_id, self.key) is not None

    def reached(self, trial: Trial) -> int:
        checkpoint = self.store.tuning(trial.trial_id, self.key)
        return checkpoint[0] if checkpoint else 0

    def do(self, trials: Sequence[Trial], *, on_step: Callable[[int], None], clock: Stopwatch) -> None:
        tune_group(trials, work=self, on_step=on_step, clock=clock)

    def record_failure(self, trial: Trial, *, reason: str) -> None:
        result = TuningResult(trial_id=trial.trial_id, key=self.key, status="failed", reason=reason)
        self.store.write_tuning_result(result)


def tune_group(trials: Sequence[Trial], *, work: _TuningWork, on_step: Callable[[int], None], clock: Stopwatch) -> None:
    """Tunes trials of one instrument side by side, in this process; see `Work.do`."""
    from tinytimbre.sweep.trainer import advance_to

    run = _Tuning.start(trials, work=work, clock=clock)
    advance_to(work.target_step, run=run, checkpoint_secs=work.config.training.checkpoint_secs, on_step=on_step)
    run.finish()


@dataclasses.dataclass
class _Tuning:
    """A group on its way.

    ``before`` holds the rounded validation losses of the weights as they were trained, ``earlier_secs`` what other
    processes have spent on each trial.
    """

    trials: Sequence[Trial]
    work: _TuningWork
    group: ModelGroup
    train: ClipPool
    validation: ClipPool
    clock: Stopwatch
    before: np.ndarray
    earlier_secs: np.ndarray
    step: int = 0
    step_secs: list[float] = dataclasses.field(default_factory=list)

    @classmethod
    def start(cls, trials: Sequence[Trial], *, work: _TuningWork, clock: Stopwatch) -> _Tuning:
        from tinytimbre.sweep.trainer import clip_pools
        from tinytimbre.training.rounding import rounded_view

        with clock.part("data"):
            train, validation = clip_pools(trials, features_dir=work.features_dir, config=work.config)
        with clock.part("building"):
            group = _group(trials, store=work.store, shape=train.shape, config=work.config)
            for decoder in group.decoders:
                decoder.compute_through(rounded_view(bits=TUNED_BITS[work.quantisation]))
        nothing = np.zeros(len(trials))
        run = cls(trials, work, group, train, validation, clock, before=nothing, earlier_secs=nothing)
        run._restore()
        return run

    def advance(self) -> None:
        """One step of every model, on batches that no training has had."""
        started = time.monotonic()
        batch = self.train.training_batch(seed=self.work.config.seed, step=FIRST_BATCH + self.step)
        self.group.train_step(batch, step=self.step)
        self.step += 1
        self.step_secs.append(time.monotonic() - started)

    def save(self) -> None:
        """Checkpoints every trial."""
        with self.clock.part("checkpoints"):
            for index, trial in enumerate(self.trials):
                secs = np.array(self._spent_secs(index))
                state = {**self.group.optimisers[index].state(), LOSS: self.before[index], SECONDS_KEY: secs}
                self.work.store.write_tuning(trial.trial_id, self.work.key, step=self.step, state=state)

    def finish(self) -> None:
        """Keeps what is better after rounding: the tuned weights or the trial's own."""
        from tinytimbre.sweep.trainer import book_steps

        book_steps(self.step_secs, clock=self.clock)
        after = self._losses()
        with self.clock.part("checkpoints"):
            for index in range(len(self.trials)):
                self._write(index, better=bool(after[index] < self.before[index]))  # not so if it diverged

    def _write(self, index: int, *, better: bool) -> None:
        trial_id, store, key = self.trials[index].trial_id, self.work.store, self.work.key
        tuned = self.group.optimisers[index].averaged_weights()
        store.write_tuned(trial_id, key, weights=tuned if better else store.load_decoder(trial_id).get_weights())
        secs = round(self._spent_secs(index), 3)
        store.write_tuning_result(TuningResult(trial_id=trial_id, key=key, status="done", train_seconds=secs))

    def _spent_secs(self, index: int) -> float:
        return float(self.earlier_secs[index]) + sum(self.step_secs) / len(self.trials)

    def _losses(self) -> np.ndarray:
        from tinytimbre.sweep.trainer import VALIDATION_BATCHES

        with self.clock.part("validation"):
            return self.group.validation_losses(self.validation.validation_batches(max_batches=VALIDATION_BATCHES))

    def _restore(self) -> None:
        """From the checkpoints, which all stand at the same step, or else from the trials' own weights."""
        found = [self.work.store.tuning(trial.trial_id, self.work.key) for trial in self.trials]
        checkpoints = [checkpoint for checkpoint in found if checkpoint is not None]
        if not checkpoints:
            self.before = self._losses()
            return
        for optimiser, (step, state) in zip(self.group.optimisers, checkpoints, strict=True):
            optimiser.restore(state)
            self.step = step
        self.before = np.array([state[LOSS] for _, state in checkpoints])
        self.earlier_secs = np.array([state[SECONDS_KEY] for _, state in checkpoints])


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
