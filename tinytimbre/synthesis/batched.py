"""The training synthesiser: TensorFlow, batched over clips and over models trained side by side.

Everything that does not depend on a model (sines, Nyquist mask, noise spectra) is computed once per batch and shared;
a model adds one product with the sines and one with the noise gains. Same result as `tinytimbre.synthesis.streaming`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tinytimbre.synthesis import noise, oscillators


@dataclasses.dataclass(frozen=True)
class ClipShape:
    """Sizes of a batch: ``clips`` clips of ``frames`` frames of ``hop`` samples."""

    clips: int
    frames: int
    hop: int
    sample_rate_hz: int

    @property
    def samples(self) -> int:
        """Samples per clip."""
        return self.frames * self.hop


def harmonic_basis(cycles: tf.Tensor, f0_samples_hz: tf.Tensor, *, harmonics: int, shape: ClipShape) -> tf.Tensor:
    """The oscillators of a batch, silent at and above half the sample rate.

    Args:
        cycles: float32 [clips, samples], phase in [0, 1).
        f0_samples_hz: float32 [clips, samples].

    Returns:
        float32 [clips * frames, harmonics, hop].
    """
    rows = [shape.clips * shape.frames, 1, shape.hop]
    numbers = tf.range(1, harmonics + 1, dtype=tf.float32)[:, None]
    phase = tf.reshape(cycles, rows) * (2.0 * math.pi)
    highest = shape.sample_rate_hz / 2 / tf.reshape(f0_samples_hz, rows)
    return tf.where(numbers < highest, tf.sin(phase * numbers), 0.0)


def harmonic_amplitudes(controls: tf.Tensor, f0_hz: tf.Tensor, *, harmonics: int, sample_rate_hz: int) -> tf.Tensor:
    """As `oscillators.harmonic_amplitudes`: controls [clips, frames, C], f0_hz [clips, frames] -> [..., harmonics]."""
    numbers = tf.range(1, harmonics + 1, dtype=tf.float32)
    audible = tf.cast(f0_hz[..., None] * numbers < sample_rate_hz / 2, tf.float32)
    distribution = controls[..., 1 : 1 + harmonics] * audible
    total = tf.reduce_sum(distribution, axis=-1, keepdims=True)
    return controls[..., :1] * distribution / tf.maximum(total, 1e-7)


def harmonic_audio(amplitudes: tf.Tensor, basis: tf.Tensor, *, shape: ClipShape) -> tf.Tensor:
    """Sum of the oscillators, for all models in one product.

    Args:
        amplitudes: float32 [models, clips, frames, harmonics].
        basis: from `harmonic_basis`, with at least as many harmonics.

    Returns:
        float32 [models, clips, samples].
    """
    models, harmonics = amplitudes.shape[0], amplitudes.shape[-1]
    following = tf.concat([amplitudes[:, :, 1:], amplitudes[:, :, -1:]], axis=2)
    ends = tf.stack([amplitudes, following], axis=0)
    columns = tf.reshape(tf.transpose(ends, [2, 3, 0, 1, 4]), [shape.clips * shape.frames, 2 * models, harmonics])
    parts = tf.reshape(tf.matmul(columns, basis[:, :harmonics]), [shape.clips, shape.frames, 2, models, shape.hop])
    falling, rising = (ramp.astype(np.float32) for ramp in oscillators.hann_ramps(shape.hop))
    audio = parts[:, :, 0] * falling + parts[:, :, 1] * rising
    return tf.reshape(tf.transpose(audio, [2, 0, 1, 3]), [models, shape.clips, shape.samples])


class NoiseBank:
    """Filtered noise for decoders whose numbers of noise bands may differ; one FFT size serves them all."""

    def __init__(self, noise_bands: list[int], *, shape: ClipShape) -> None:
        self._shape = shape
        self._bands = noise_bands
        self._size = max(noise.fft_size(bands, hop=shape.hop) for bands in noise_bands)
        self._gains = {bands: tf.constant(noise.gain_matrix(bands, size=self._size)) for bands in noise_bands}

    def audio(self, magnitudes: list[tf.Tensor], white: tf.Tensor) -> tf.Tensor:
        """Filtered noise of all models.

        Args:
            magnitudes: per model float32 [clips, frames, its noise bands].
            white: float32 [clips, frames, hop] in [-1, 1).

        Returns:
            float32 [models, clips, samples].
        """
        spectrum = tf.signal.rfft(white, [self._size])
        return tf.stack([self._one(values, spectrum) for values in magnitudes])

    def _one(self, magnitudes: tf.Tensor, spectrum: tf.Tensor) -> tf.Tensor:
        bands = magnitudes.shape[-1]
        gains = tf.matmul(magnitudes, self._gains[bands])
        frames = _filter_frames(gains, spectrum * _delay(bands, self._size), self._size)
        mixed = _overlap_add(frames, hop=self._shape.hop)
        start = noise.delay_samples(bands)
        return mixed[:, start : start + self._shape.samples]


def _delay(noise_bands: int, size: int) -> tf.Tensor:
    samples = noise.response_size(noise_bands) // 2
    return tf.constant(np.exp(-2j * np.pi * samples * np.arange(size // 2 + 1) / size).astype(np.complex64))


def _filter_frames(gains: tf.Tensor, spectrum: tf.Tensor, size: int) -> tf.Tensor:
    """``irfft(gains * spectrum)`` for real gains, with the gradient for the gains alone.

    The generic gradient goes through complex products that cost more than the transforms.
    """
    weights = np.full(size // 2 + 1, 2.0 / size, np.float32)
    weights[[0, -1]] = 1.0 / size

    @tf.custom_gradient
    def filtered(gains: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        real, imaginary = tf.math.real(spectrum), tf.math.imag(spectrum)
        frames = tf.signal.irfft(tf.complex(gains * real, gains * imaginary), [size])

        def grad(upstream: tf.Tensor) -> tf.Tensor:
            transformed = tf.signal.rfft(upstream)
            return weights * (real * tf.math.real(transformed) + imaginary * tf.math.imag(transformed))

        return frames, grad

    return filtered(gains)


def _overlap_add(frames: tf.Tensor, *, hop: int) -> tf.Tensor:
    """[clips, frames, size] -> [clips, (frames + parts - 1) * hop], ``parts`` hops to a padded frame."""
    clips, count, size = frames.shape
    parts = -(-size // hop)
    padded = tf.reshape(tf.pad(frames, [[0, 0], [0, 0], [0, parts * hop - size]]), [clips, count, parts, hop])
    shifted = [tf.pad(padded[:, :, part], [[0, 0], [part, parts - 1 - part], [0, 0]]) for part in range(parts)]
    return tf.reshape(tf.add_n(shifted), [clips, (count + parts - 1) * hop])
