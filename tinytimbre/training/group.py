"""Several models trained side by side on the same batches.

Sines, noise spectra and the target's magnitudes depend on the batch alone: a group computes them once. The models do
not touch each other; each has its own loss, gradient, norm limit and optimiser.

    group = ModelGroup([spec_a, spec_b], seeds=[0, 0], ...)
    losses = group.train_step(pool.training_batch(seed=0, step=0), step=0)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tinytimbre.config import TrainingConfig
from tinytimbre.decoders import Decoder, DecoderSpec, InputRange, build_decoder
from tinytimbre.decoders.base import REVERB
from tinytimbre.synthesis.batched import ClipShape, NoiseBank, SoundControls, harmonic_audio, sound_controls
from tinytimbre.synthesis.batched_reverb import ReverbBank
from tinytimbre.training.clips import Batch
from tinytimbre.training.loss import Loudness, spectral_distance, spectral_loss
from tinytimbre.training.optimiser import Adam, learning_rate_at

Tensors = dict[str, tf.Tensor]


class ModelGroup:
    """Models, their optimisers and the compiled step.

    Args:
        specs: one decoder specification per model.
        seeds: of the models' initial weights.
        input_ranges: of the models' inputs.
        learning_rates: peak of each model's schedule.
        total_steps: where the schedule ends.
        shape: of the batches.
        config: batch, FFT sizes, gradient norm limit.
    """

    def __init__(
        self,
        specs: Sequence[DecoderSpec],
        *,
        seeds: Sequence[int],
        input_ranges: Sequence[InputRange],
        learning_rates: Sequence[float],
        total_steps: int,
        shape: ClipShape,
        config: TrainingConfig,
    ) -> None:
        self.specs, self.shape = list(specs), shape
        self._rates, self._total_steps, self._config = list(learning_rates), total_steps, config
        self._loudness = Loudness(config.loudness_weight, shape.sample_rate_hz)
        self.decoders = [
            build_decoder(spec, seed=seed, input_range=input_range)
            for spec, seed, input_range in zip(specs, seeds, input_ranges, strict=True)
        ]
        self.optimisers = [Adam(decoder.weights, clip_norm=config.gradient_clip_norm) for decoder in self.decoders]
        self._noise = NoiseBank([spec.noise_bands for spec in specs], shape=shape)
        self._rooms = ReverbBank([decoder.weights.get(REVERB) for decoder in self.decoders], shape=shape)
        self._compiled_step = tf.function(self._step, autograph=False)

    def train_step(self, batch: Batch, *, step: int) -> np.ndarray:
        """One update of every model; returns the losses before it, float32 [models]."""
        rates = [learning_rate_at(step, peak=peak, total_steps=self._total_steps) for peak in self._rates]
        tensors = _tensors(batch)
        return self._compiled_step(tensors, tf.constant(rates, tf.float32), tf.constant(float(step))).numpy()

    def validation_losses(self, batches: Sequence[Batch]) -> np.ndarray:
        """Mean loss of the averaged weights over the batches, float32 [models]."""
        current = [decoder.get_weights() for decoder in self.decoders]
        for decoder, optimiser in zip(self.decoders, self.optimisers, strict=True):
            decoder.set_weights(optimiser.averaged_weights())
        # Not compiled: for a few batches that would take longer than it saves.
        losses = [self._losses_of(_tensors(batch)).numpy() for batch in batches]
        for decoder, weights in zip(self.decoders, current, strict=True):
            decoder.set_weights(weights)
        return np.mean(losses, axis=0)

    def _step(self, batch: Tensors, rates: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            losses = spectral_loss(
                self._audio(batch), batch["audio"], fft_sizes=self._config.fft_sizes, loudness=self._loudness
            )
        # The models share no variable, so the gradient of the sum is each model's own gradient.
        gradients = tape.gradient(losses, [list(decoder.weights.values()) for decoder in self.decoders])
        for index, optimiser in enumerate(self.optimisers):
            optimiser.apply(gradients[index], learning_rate=rates[index], step=step)
        return losses

    def _losses_of(self, batch: Tensors) -> tf.Tensor:
        return spectral_distance(
            self._audio(batch), batch["audio"], fft_sizes=self._config.fft_sizes, loudness=self._loudness
        )

    def _audio(self, batch: Tensors) -> tf.Tensor:
        """What the models play, float32 [models, clips, samples]."""
        sounds = [sound_of(decoder, batch, batch["f0_hz"], shape=self.shape) for decoder in self.decoders]
        most = max(spec.harmonics for spec in self.specs)
        missing = [[[0, 0], [0, 0], [0, most - spec.harmonics]] for spec in self.specs]
        amplitudes = tf.stack([tf.pad(sound.amplitudes, rest) for sound, rest in zip(sounds, missing, strict=True)])
        harmonic = harmonic_audio(amplitudes, batch["cycles"], batch["f0_samples_hz"], shape=self.shape)
        noise = self._noise.audio([sound.magnitudes for sound in sounds], batch["white"])
        return self._rooms.audio(harmonic + noise, past=batch["past"])


def sound_of(decoder: Decoder, inputs: Tensors, f0_hz: tf.Tensor, *, shape: ClipShape) -> SoundControls:
    """What a decoder makes of a batch's clips; `inputs` holds those of its kind, which start with the warm-up."""
    spec = decoder.spec
    controls = decoder(inputs[spec.input])[:, -shape.frames :]
    return sound_controls(controls, f0_hz, harmonics=spec.harmonics, sample_rate_hz=shape.sample_rate_hz)


def _tensors(batch: Batch) -> Tensors:
    arrays: dict[str, np.ndarray] = {str(kind): inputs for kind, inputs in batch.inputs.items()}
    arrays |= {name: getattr(batch, name) for name in ("audio", "cycles", "f0_samples_hz", "f0_hz", "white", "past")}
    return {name: tf.constant(value) for name, value in arrays.items()}
