"""The multi-scale spectral loss, with its gradient computed in the same pass.

Equal to ddsp 3.7's ``SpectralLoss(loss_type="L1", mag_weight=1, logmag_weight=1)``: per FFT size the mean absolute
difference of the magnitudes plus that of their logarithms; Hann windows, 75 % overlap, zero-padded end. One deliberate
difference: magnitudes are floored at 1e-5 before the logarithm (ddsp replaces exact zeros by 1e-5 and lets smaller
values through), so inaudible residues in digital silence carry no gradient.

The work is done by `tinytimbre.kernels.spectra`; the target's magnitudes are computed once and shared by all models.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tinytimbre.kernels import spectra
from tinytimbre.kernels.lanes import LANES

MAGNITUDE_FLOOR = 1e-5


def spectral_loss(audio: tf.Tensor, target: tf.Tensor, *, fft_sizes: tuple[int, ...]) -> tf.Tensor:
    """The loss of each model.

    Args:
        audio: float32 [models, clips, samples].
        target: float32 [clips, samples].
        fft_sizes: powers of two, at least 16.

    Returns:
        float32 [models], differentiable with respect to `audio`.
    """

    @tf.custom_gradient
    def loss(audio: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        values, gradient = _called(audio, target, fft_sizes=fft_sizes, with_gradient=True)
        return values, lambda upstream: upstream[:, None, None] * gradient

    return loss(audio)


def spectral_distance(audio: tf.Tensor, target: tf.Tensor, *, fft_sizes: tuple[int, ...]) -> tf.Tensor:
    """The value of `spectral_loss` without the work for its gradient."""
    return _called(audio, target, fft_sizes=fft_sizes, with_gradient=False)[0]


def compare(
    audio: np.ndarray, target: np.ndarray, *, fft_sizes: tuple[int, ...], with_gradient: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Loss float32 [models] and its gradient [models, clips, samples] (zeros where not wanted), of arrays."""
    models, clips, samples = audio.shape
    rows = spectra.rows_needed(fft_sizes, samples=samples)
    columns, target_columns = _columns(models, clips)
    lanes = _lanes(models, clips)
    ours, theirs = np.zeros((rows, columns), np.float32), np.zeros((rows, target_columns), np.float32)
    spectra.interleave(audio.reshape(models * clips, samples), lanes, ours)
    # Fewer clips than a vector holds: the targets are repeated, and each vector compares several models at once.
    copies = target_columns // _padded(clips)
    spectra.interleave(np.tile(target, (copies, 1)), _lanes(copies, clips), theirs)
    values, gradient = np.zeros(columns), np.zeros_like(ours)
    for size in fft_sizes:
        scale = spectra.scale_of(size, samples=samples)
        weight = 1.0 / (clips * scale.frames * scale.bins)
        magnitudes = spectra.target_magnitudes(theirs, scale)
        spectra.add_scale(
            ours, magnitudes, scale, floor=MAGNITUDE_FLOOR, weight=weight, with_gradient=with_gradient,
            values=values, gradient=gradient,
        )  # fmt: skip
    separated = np.zeros_like(audio)
    if with_gradient:
        spectra.separate(gradient, lanes, separated.reshape(models * clips, samples))
    return values[lanes].reshape(models, clips).sum(axis=1).astype(np.float32), separated


def _called(
    audio: tf.Tensor, target: tf.Tensor, *, fft_sizes: tuple[int, ...], with_gradient: bool
) -> tuple[tf.Tensor, tf.Tensor]:
    def run(audio: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return compare(audio, target, fft_sizes=fft_sizes, with_gradient=with_gradient)

    values, gradient = tf.numpy_function(run, [audio, target], [tf.float32, tf.float32], stateful=False)
    return tf.ensure_shape(values, audio.shape[:1]), tf.ensure_shape(gradient, audio.shape)


def _padded(clips: int) -> int:
    """Columns of one model: a divisor or a multiple of the vector, so that every model starts at the same target."""
    return 1 << (clips - 1).bit_length() if clips < LANES else -(-clips // LANES) * LANES


def _columns(models: int, clips: int) -> tuple[int, int]:
    """Columns of all models and of the targets, multiples of the vector."""
    return -(-models * _padded(clips) // LANES) * LANES, max(LANES, _padded(clips))


def _lanes(models: int, clips: int) -> np.ndarray:
    """The column of each model's each clip, int64 [models * clips]."""
    return (np.arange(models)[:, None] * _padded(clips) + np.arange(clips)).ravel()
