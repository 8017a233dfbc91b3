"""The multi-scale spectral loss, with its gradient computed in the same pass.

Equal to ddsp 3.7's ``SpectralLoss(loss_type="L1", mag_weight=1, logmag_weight=1)``: per FFT size the mean absolute
difference of the magnitudes plus that of their logarithms; Hann windows, 75 % overlap, zero-padded end. One deliberate
difference: magnitudes are floored at 1e-5 before the logarithm (ddsp replaces exact zeros by 1e-5 and lets smaller
values through), so inaudible residues in digital silence carry no gradient.

The target is data, so its spectra are computed once per batch and shared by all models. Writing the gradient out
avoids TensorFlow's complex absolute value, whose gradient costs six times the transform.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow as tf

MAGNITUDE_FLOOR = 1e-5
OVERLAP = 4


@dataclasses.dataclass(frozen=True)
class TargetSpectrum:
    """Magnitudes and floored log magnitudes of the target at one FFT size, float32 [clips, frames, bins]."""

    fft_size: int
    magnitude: tf.Tensor
    log_magnitude: tf.Tensor


def target_spectra(audio: tf.Tensor, *, fft_sizes: tuple[int, ...]) -> list[TargetSpectrum]:
    """What `spectral_loss` compares with.

    Args:
        audio: float32 [clips, samples].
        fft_sizes: powers of two, at least 4.
    """
    return [_target(audio, size) for size in fft_sizes]


def spectral_loss(audio: tf.Tensor, targets: list[TargetSpectrum]) -> tf.Tensor:
    """The loss of each model.

    Args:
        audio: float32 [models, clips, samples].
        targets: of the same clips.

    Returns:
        float32 [models], differentiable with respect to `audio`.
    """

    @tf.custom_gradient
    def loss(audio: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        scales = [_scale_loss(audio, target) for target in targets]
        gradient = tf.add_n([gradient for _, gradient in scales])

        def grad(upstream: tf.Tensor) -> tf.Tensor:
            return upstream[:, None, None] * gradient

        return tf.add_n([value for value, _ in scales]), grad

    return loss(audio)


def spectral_distance(audio: tf.Tensor, targets: list[TargetSpectrum]) -> tf.Tensor:
    """The value of `spectral_loss` without the work for its gradient."""
    return tf.add_n([_terms(_magnitude(*_spectrum(audio, t.fft_size)), t)[0] for t in targets])


def _target(audio: tf.Tensor, size: int) -> TargetSpectrum:
    magnitude = _magnitude(*_spectrum(audio, size))
    return TargetSpectrum(size, magnitude, tf.math.log(tf.maximum(magnitude, MAGNITUDE_FLOOR)))


def _spectrum(audio: tf.Tensor, size: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Real and imaginary part of the short-time Fourier transform, [..., frames, size // 2 + 1]."""
    spectrum = tf.signal.rfft(_frames(audio, size) * _window(size))
    return tf.math.real(spectrum), tf.math.imag(spectrum)


def _magnitude(real: tf.Tensor, imaginary: tf.Tensor) -> tf.Tensor:
    return tf.sqrt(real * real + imaginary * imaginary)


def _window(size: int) -> np.ndarray:
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)).astype(np.float32)


def _frames(audio: tf.Tensor, size: int) -> tf.Tensor:
    """Frames of ``size`` every ``size / 4`` samples, as many as hops fit, the end padded with zeros."""
    hop = size // OVERLAP
    count = -(-audio.shape[-1] // hop)
    padding = [[0, 0]] * (len(audio.shape) - 1) + [[0, (count + OVERLAP - 1) * hop - audio.shape[-1]]]
    hops = tf.reshape(tf.pad(audio, padding), [*audio.shape[:-1], count + OVERLAP - 1, hop])
    return tf.concat([hops[..., part : part + count, :] for part in range(OVERLAP)], axis=-1)


def _unframe(frames: tf.Tensor, samples: int) -> tf.Tensor:
    """The transpose of `_frames`: overlapping parts are summed."""
    *lead, count, size = frames.shape
    hop = size // OVERLAP
    parts = tf.reshape(frames, [*lead, count, OVERLAP, hop])
    rest = [[0, 0]] * len(lead)
    shifted = [tf.pad(parts[..., part, :], [*rest, [part, OVERLAP - 1 - part], [0, 0]]) for part in range(OVERLAP)]
    return tf.reshape(tf.add_n(shifted), [*lead, (count + OVERLAP - 1) * hop])[..., :samples]


def _terms(magnitude: tf.Tensor, target: TargetSpectrum) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """Loss per model, and what the gradient needs: both differences and the floored magnitude."""
    floored = tf.maximum(magnitude, MAGNITUDE_FLOOR)
    linear = magnitude - target.magnitude
    logarithmic = tf.math.log(floored) - target.log_magnitude
    value = tf.reduce_mean(tf.abs(linear), axis=[1, 2, 3]) + tf.reduce_mean(tf.abs(logarithmic), axis=[1, 2, 3])
    return value, linear, logarithmic, floored


def _scale_loss(audio: tf.Tensor, target: TargetSpectrum) -> tuple[tf.Tensor, tf.Tensor]:
    """Loss [models] at one FFT size and its gradient [models, clips, samples]."""
    size = target.fft_size
    real, imaginary = _spectrum(audio, size)
    magnitude = _magnitude(real, imaginary)
    value, linear, logarithmic, floored = _terms(magnitude, target)
    # d|X| / dX is X / |X|; below the floor the logarithm is constant.
    audible = tf.cast(magnitude > MAGNITUDE_FLOOR, tf.float32)
    slope = (tf.sign(linear) + tf.sign(logarithmic) * audible / floored) / floored
    slope *= _transposed_rfft_scale(size) / float(np.prod(magnitude.shape[1:]))
    frames = tf.signal.irfft(tf.complex(slope * real, slope * imaginary), [size]) * _window(size)
    return value, _unframe(frames, audio.shape[-1])


def _transposed_rfft_scale(size: int) -> np.ndarray:
    """Factors per bin that turn `irfft` into the transpose of `rfft`: it halves all bins but the first and last."""
    scale = np.full(size // 2 + 1, size / 2, np.float32)
    scale[[0, -1]] = size
    return scale
