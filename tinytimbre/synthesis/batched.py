"""The training synthesiser: TensorFlow's side of the compiled kernels, batched over clips and over models.

What does not depend on a model (phasors, Nyquist limit, noise spectra) is shared by the models trained side by side.
Same result as `tinytimbre.synthesis.streaming`; the gradients are the kernels' own transposes.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tinytimbre.kernels import filtered_noise, harmonics
from tinytimbre.kernels.columns import Columns
from tinytimbre.kernels.fourier import fourier_plan
from tinytimbre.synthesis import noise, oscillators

Gradient = Callable[[tf.Tensor], tf.Tensor]


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


@dataclasses.dataclass(frozen=True)
class SoundControls:
    """What a decoder makes the synthesiser do.

    Attributes:
        amplitudes: float32 [clips, frames, harmonics], 0 at and above half the sample rate.
        magnitudes: float32 [clips, frames, noise bands].
    """

    amplitudes: tf.Tensor
    magnitudes: tf.Tensor


def sound_controls(controls: tf.Tensor, f0_hz: tf.Tensor, *, harmonics: int, sample_rate_hz: int) -> SoundControls:
    """Reads controls [clips, frames, 1 + harmonics + noise bands] at f0_hz [clips, frames].

    The amplitudes are those of `oscillators.harmonic_amplitudes`.
    """
    # Cut at once: the gradient of a cut is one operation, of three slices five.
    parts = [1, harmonics, controls.shape[-1] - 1 - harmonics]
    amplitude, distribution, magnitudes = tf.split(controls, parts, axis=-1)
    numbers = tf.range(1, harmonics + 1, dtype=tf.float32)
    distribution *= tf.cast(f0_hz[..., None] * numbers < sample_rate_hz / 2, tf.float32)
    total = tf.reduce_sum(distribution, axis=-1, keepdims=True)
    return SoundControls(amplitude * distribution / tf.maximum(total, 1e-7), magnitudes)


def harmonic_audio(
    amplitudes: tf.Tensor, cycles: tf.Tensor, f0_samples_hz: tf.Tensor, *, shape: ClipShape
) -> tf.Tensor:
    """Sum of the oscillators of all models, silent at and above half the sample rate.

    Args:
        amplitudes: float32 [models, clips, frames, harmonics].
        cycles: float32 [clips, samples], phase of the fundamental in [0, 1).
        f0_samples_hz: float32 [clips, samples].

    Returns:
        float32 [models, clips, samples], differentiable with respect to `amplitudes`.
    """
    phase, count = cycles * (2.0 * math.pi), amplitudes.shape[3]
    limits = [tf.cos(phase), tf.sin(phase), shape.sample_rate_hz / 2 / f0_samples_hz]
    rising = oscillators.hann_ramps(shape.hop)[1].astype(np.float32)
    # The kernel takes four harmonics at a time.
    padded = tf.pad(amplitudes, [[0, 0], [0, 0], [0, 0], [0, -count % harmonics.AT_ONCE]])

    def project(upstream: np.ndarray, cosine: np.ndarray, sine: np.ndarray, highest: np.ndarray) -> np.ndarray:
        return harmonics.amplitude_gradient(upstream, padded.shape[3], cosine, sine, highest, rising)

    @tf.custom_gradient
    def audio(amplitudes: tf.Tensor) -> tuple[tf.Tensor, Gradient]:
        def grad(upstream: tf.Tensor) -> tf.Tensor:
            return _compiled(project, [upstream, *limits], shape=amplitudes.shape)

        def play(amplitudes: np.ndarray, cosine: np.ndarray, sine: np.ndarray, highest: np.ndarray) -> np.ndarray:
            return harmonics.harmonic_audio(amplitudes, cosine, sine, highest, rising)

        return _compiled(play, [amplitudes, *limits], shape=[amplitudes.shape[0], shape.clips, shape.samples]), grad

    return audio(padded)


class NoiseBank:
    """Filtered noise for decoders whose numbers of noise bands may differ.

    Models with the same number share a transform. The others have their own, so that a model's noise does not depend,
    not even by rounding, on who is trained beside it.
    """

    def __init__(self, noise_bands: list[int], *, shape: ClipShape) -> None:
        self._bands = noise_bands
        self._filters = {bands: _NoiseFilter(bands, shape=shape) for bands in dict.fromkeys(noise_bands)}

    def audio(self, magnitudes: list[tf.Tensor], white: tf.Tensor) -> tf.Tensor:
        """Filtered noise of all models.

        Args:
            magnitudes: per model float32 [clips, frames, its noise bands].
            white: float32 [clips, frames, hop] in [-1, 1).

        Returns:
            float32 [models, clips, samples], differentiable with respect to the magnitudes.
        """
        played: dict[int, list[tf.Tensor]] = {}
        for bands, noise_filter in self._filters.items():
            own = [values for values in magnitudes if values.shape[-1] == bands]
            played[bands] = tf.unstack(noise_filter.audio(tf.stack(own), white))
        return tf.stack([played[bands].pop(0) for bands in self._bands])


class _NoiseFilter:
    """Filtered noise for models with one number of noise bands."""

    def __init__(self, noise_bands: int, *, shape: ClipShape) -> None:
        self._shape = shape
        self._matrix = noise.response_matrix(noise_bands)
        self._taps = self._matrix.shape[1]
        # Half of a response comes before its frame.
        self._lead = self._taps - 1
        reach = self._lead + noise.ADVANCE + shape.hop + self._taps - 1
        self._plan = fourier_plan(max(4, 1 << (reach - 1).bit_length()))

    def audio(self, magnitudes: tf.Tensor, white: tf.Tensor) -> tf.Tensor:
        """Noise float32 [models, clips, samples] for magnitudes [models, clips, frames, bands]."""
        models, clips, frames, _ = magnitudes.shape
        columns = Columns(models, clips)
        responses = tf.reshape(tf.matmul(magnitudes, self._matrix), [models, clips, frames * self._taps])
        samples = tf.reshape(white, [clips, self._shape.samples])
        spectra = _compiled(lambda white: self._spectra(white, columns), [samples], shape=None)

        @tf.custom_gradient
        def audio(responses: tf.Tensor) -> tuple[tf.Tensor, Gradient]:
            def grad(upstream: tf.Tensor) -> tf.Tensor:
                call = [upstream, spectra]
                return _compiled(lambda *arrays: self._transposed(arrays, columns), call, shape=responses.shape)

            call, audio_shape = [responses, spectra], [models, clips, self._shape.samples]
            return _compiled(lambda *arrays: self._filter(arrays, columns), call, shape=audio_shape), grad

        return audio(responses)

    def _spectra(self, white: np.ndarray, columns: Columns) -> np.ndarray:
        shared = columns.interleave_shared(white, rows=self._shape.samples)
        lead = self._lead + noise.ADVANCE
        return filtered_noise.noise_spectra(shared, hop=self._shape.hop, lead=lead, plan=self._plan)

    def _filter(self, arrays: tuple[np.ndarray, ...], columns: Columns) -> np.ndarray:
        responses, spectra = arrays
        rows = columns.interleave(responses, rows=responses.shape[2])
        audio = filtered_noise.filter_noise(rows, spectra, taps=self._taps, hop=self._shape.hop, plan=self._plan)
        return columns.separate(audio, length=self._shape.samples, first_row=self._lead)

    def _transposed(self, arrays: tuple[np.ndarray, ...], columns: Columns) -> np.ndarray:
        upstream, spectra = arrays
        frames, hop = self._shape.frames, self._shape.hop
        rows = columns.interleave(upstream, rows=(frames + frames % 2) * hop + self._plan.size, first_row=self._lead)
        gradient = filtered_noise.response_gradient(
            rows, spectra, frames=frames, taps=self._taps, hop=hop, plan=self._plan
        )
        return columns.separate(gradient, length=frames * self._taps)


def _compiled(
    function: Callable[..., np.ndarray], arguments: list[tf.Tensor], *, shape: list[int] | tf.TensorShape | None
) -> tf.Tensor:
    """A kernel as a TensorFlow operation, float32."""
    result = tf.numpy_function(function, arguments, tf.float32, stateful=False)
    return result if shape is None else tf.ensure_shape(result, shape)
