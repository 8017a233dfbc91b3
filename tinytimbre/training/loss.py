"""The multi-scale spectral loss and the loudness loss, with their gradient computed in the same pass.

The spectral loss is ddsp 3.7's ``SpectralLoss(loss_type="L1", mag_weight=1, logmag_weight=1)``: per FFT size the mean
absolute difference of the magnitudes plus that of their logarithms; Hann windows, 75 % overlap, zero-padded end. One
deliberate difference: magnitudes are floored at 1e-5 before the logarithm (ddsp replaces exact zeros by 1e-5 and lets
smaller values through), so inaudible residues in digital silence carry no gradient.

The loudness loss is the mean absolute difference of the frames' A-weighted levels, as ddsp's ``loudness_weight`` adds
it, here in nepers (8.69 dB), in the frames of one of the scales and with a floor. A small model that spends all it has
on the spectrum is decibels too loud or too soft on notes it never heard; what a listener notices first must count.

The work is done by `tinytimbre.kernels.spectra`; the target's magnitudes are computed once and shared by all models.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tinytimbre.features.loudness import FRAME_SIZE, a_weighting_db
from tinytimbre.kernels import spectra
from tinytimbre.kernels.columns import Columns

MAGNITUDE_FLOOR = 1e-5
LOUDNESS_FLOOR_DB = -60.0
"""Added to the power of a frame; a sine of full scale at 1 kHz has about 20 (`tinytimbre.features.loudness`)."""


@dataclasses.dataclass(frozen=True)
class Loudness:
    """The loudness loss as part of the whole: its weight beside each scale's logarithmic part, 0: none."""

    weight: float
    sample_rate_hz: int


NO_LOUDNESS = Loudness(0.0, 1)


def spectral_loss(
    audio: tf.Tensor, target: tf.Tensor, *, fft_sizes: tuple[int, ...], loudness: Loudness = NO_LOUDNESS
) -> tf.Tensor:
    """The loss of each model.

    Args:
        audio: float32 [models, clips, samples].
        target: float32 [clips, samples].
        fft_sizes: powers of two, at least 16.
        loudness: how much it counts.

    Returns:
        float32 [models], differentiable with respect to `audio`.
    """

    @tf.custom_gradient
    def loss(audio: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        values, gradient = _called(audio, target, fft_sizes=fft_sizes, loudness=loudness, with_gradient=True)
        return values, lambda upstream: upstream[:, None, None] * gradient

    return loss(audio)


def spectral_distance(
    audio: tf.Tensor, target: tf.Tensor, *, fft_sizes: tuple[int, ...], loudness: Loudness = NO_LOUDNESS
) -> tf.Tensor:
    """The value of `spectral_loss` without the work for its gradient."""
    return _called(audio, target, fft_sizes=fft_sizes, loudness=loudness, with_gradient=False)[0]


def compare(
    audio: np.ndarray, target: np.ndarray, *, fft_sizes: tuple[int, ...], loudness: Loudness, with_gradient: bool
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
            values=values, gradient=gradient, levels=_levels(size, fft_sizes=fft_sizes, loudness=loudness),
        )  # fmt: skip
    return columns.sums(values).astype(np.float32), columns.separate(gradient, length=samples)


@functools.cache
def _levels(size: int, *, fft_sizes: tuple[int, ...], loudness: Loudness) -> spectra.Levels:
    """Compared at one scale, that of `tinytimbre.features.loudness.FRAME_SIZE` samples or the nearest."""
    nearest = min(fft_sizes, key=lambda one: (abs(math.log2(one / FRAME_SIZE)), one))
    if not loudness.weight or size != nearest:
        return spectra.NO_LEVELS
    weights_db = a_weighting_db(np.fft.rfftfreq(size, 1 / loudness.sample_rate_hz))
    return spectra.Levels(
        power_weights=(10 ** (weights_db / 10) / len(weights_db)).astype(np.float32),
        power_floor=np.float32(10 ** (LOUDNESS_FLOOR_DB / 10)),
        weight=np.float32(loudness.weight * len(weights_db)),
    )


def _called(
    audio: tf.Tensor, target: tf.Tensor, *, fft_sizes: tuple[int, ...], loudness: Loudness, with_gradient: bool
) -> tuple[tf.Tensor, tf.Tensor]:
    def run(audio: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return compare(audio, target, fft_sizes=fft_sizes, loudness=loudness, with_gradient=with_gradient)

    values, gradient = tf.numpy_function(run, [audio, target], [tf.float32, tf.float32], stateful=False)
    return tf.ensure_shape(values, audio.shape[:1]), tf.ensure_shape(gradient, audio.shape)
