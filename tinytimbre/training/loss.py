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
from tinytimbre.kernels.columns import Columns

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
    """Loss float32 [models] and its gradient [models, clips, samples] (zeros where not wanted)."""
    models, clips, samples = audio.shape
    columns, rows = Columns(models, clips), spectra.rows_needed(fft_sizes, samples=samples)
    ours, theirs = columns.interleave(audio, rows=rows), columns.interleave_shared(target, rows=rows)
    values, gradient = np.zeros(columns.count), np.zeros_like(ours)
    for size in fft_sizes:
        scale = spectra.scale_of(size, samples=samples)
        spectra.add_scale(
            ours, theirs, scale, floor=MAGNITUDE_FLOOR,
            weight=1.0 / (clips * scale.frames * scale.bins), with_gradient=with_gradient,
            values=values, gradient=gradient,
        )  # fmt: skip
    return columns.sums(values).astype(np.float32), columns.separate(gradient, length=samples)


def _called(
    audio: tf.Tensor, target: tf.Tensor, *, fft_sizes: tuple[int, ...], with_gradient: bool
) -> tuple[tf.Tensor, tf.Tensor]:
    def run(audio: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return compare(audio, target, fft_sizes=fft_sizes, with_gradient=with_gradient)

    values, gradient = tf.numpy_function(run, [audio, target], [tf.float32, tf.float32], stateful=False)
    return tf.ensure_shape(values, audio.shape[:1]), tf.ensure_shape(gradient, audio.shape)
