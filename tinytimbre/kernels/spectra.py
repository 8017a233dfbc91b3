"""The multi-scale spectral loss and its gradient: framing, transform, comparison and way back in one pass.

Signals lie in columns (`tinytimbre.kernels.columns`), so that a frame of sixteen signals is a run of vectors. Two
consecutive frames make one complex transform: one is its real, the next its imaginary part. A block never leaves the
cache between the window and the sum into the gradient; nor do the target's magnitudes, which serve all models in turn.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import NamedTuple

import numpy as np
from numba import njit

from tinytimbre.kernels.fourier import (
    FourierPlan,
    after_first_stage,
    before_last_stage,
    bin_of_both,
    fourier_plan,
    load_four,
    store_bin_of_both,
    store_butterfly,
    transposed_butterfly,
)
from tinytimbre.kernels.lanes import (
    LANES,
    Lanes,
    absolute,
    load,
    log,
    maximum,
    only_above,
    rounded_product,
    sign,
    splat,
    sqrt,
    store,
)
from tinytimbre.kernels.memory import scratch

OVERLAP = 4
Tables = tuple[int, np.ndarray, np.ndarray, np.ndarray]
"""Size, window, twiddles and places of a scale, as the compiled functions take them."""


class Levels(NamedTuple):
    """How the levels of frames, half the logarithms of their powers, are compared beside the bins.

    Attributes:
        power_weights: float32 [bins], of the bins' powers in the power of a frame; none: levels are not compared.
        power_floor: added to the power, above 0.
        weight: of a frame's level, where that of a bin is 1.
    """

    power_weights: np.ndarray
    power_floor: np.float32
    weight: np.float32


NO_LEVELS = Levels(np.zeros(0, np.float32), np.float32(1.0), np.float32(0.0))


@dataclasses.dataclass(frozen=True, eq=False)
class Scale:
    """One FFT size over signals of one length.

    Attributes:
        plan: of the transform.
        window: float32 [size], Hann.
        pairs: of frames; where their number is odd, an empty frame is the last.
        frames: hop-spaced frames, as many as hops fit into the signal.
    """

    plan: FourierPlan
    window: np.ndarray
    pairs: int
    frames: int

    @property
    def hop(self) -> int:
        """Samples between frames: 75 % overlap."""
        return self.plan.size // OVERLAP

    @property
    def bins(self) -> int:
        """Of the spectrum of a real frame."""
        return self.plan.size // 2 + 1


@functools.cache
def scale_of(size: int, *, samples: int) -> Scale:
    """The scale of an FFT size, a power of two of at least 16, for signals of `samples` samples."""
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)).astype(np.float32)
    frames = -(-samples // (size // OVERLAP))
    return Scale(fourier_plan(size), window, pairs=-(-frames // 2), frames=frames)


def rows_needed(sizes: tuple[int, ...], *, samples: int) -> int:
    """Rows of an interleaved array in which every frame of every size lies."""
    scales = [scale_of(size, samples=samples) for size in sizes]
    return max((2 * scale.pairs - 1) * scale.hop + scale.plan.size for scale in scales)


def add_scale(
    rows: np.ndarray, targets: np.ndarray, scale: Scale, *, floor: float, weight: float, with_gradient: bool,
    values: np.ndarray, gradient: np.ndarray, levels: Levels = NO_LEVELS,
) -> None:  # fmt: skip
    """Adds one scale's loss to `values` and its gradient to `gradient`.

    Args:
        rows: float32 [rows, columns], interleaved signals.
        targets: float32 [rows, target columns], interleaved; column c of `rows` is compared with column c modulo the
            targets' columns.
        scale: of both.
        floor: magnitudes are raised to it before the logarithm.
        weight: of each bin of each frame.
        with_gradient: whether `gradient` is wanted.
        values: float64 [columns], weighted sum of the differences of the magnitudes and of their logarithms.
        gradient: float32 [rows, columns].
        levels: whether and how levels are compared.
    """
    _add_scale(
        rows.ravel(), rows.shape[1], targets.ravel(), targets.shape[1], scale.pairs, np.float32(floor),
        np.float32(weight), with_gradient, values, gradient.reshape(-1), levels, _tables(scale),
    )  # fmt: skip


def _tables(scale: Scale) -> Tables:
    return scale.plan.size, scale.window, scale.plan.twiddles, scale.plan.places


@njit(cache=True, fastmath={"contract"}, error_model="numpy")
def _add_scale(
    rows: np.ndarray, columns: int, targets: np.ndarray, target_columns: int, pairs: int, floor: float, weight: float,
    with_gradient: bool, values: np.ndarray, gradient: np.ndarray, levels: Levels, tables: Tables,
) -> None:  # fmt: skip
    size, window, twiddles, places = tables
    re, im = scratch(size * LANES), scratch(size * LANES)
    magnitudes, sums, slopes = scratch((size + 2) * LANES), scratch(LANES), scratch(3 * LANES)
    for pair in range(pairs):
        first_row = 2 * pair * (size // OVERLAP)
        for target in range(0, target_columns, LANES):
            _transform_pair(targets, target_columns, first_row * target_columns + target, window, re, im, twiddles)
            _store_magnitudes(re, im, magnitudes, size, places)
            for column in range(target, columns, target_columns):
                start = first_row * columns + column
                _transform_pair(rows, columns, start, window, re, im, twiddles)
                if len(levels.power_weights):
                    _compare_levels(re, im, magnitudes, levels, slopes, size, places)
                _compare(re, im, magnitudes, floor, weight, levels.power_weights, slopes, sums, size, places)
                for lane in range(LANES):
                    values[column + lane] += weight * sums[lane]
                if with_gradient:
                    _add_pair(gradient, columns, start, window, re, im, twiddles)


@njit(cache=True, fastmath={"contract"}, error_model="numpy")
def _store_magnitudes(re: np.ndarray, im: np.ndarray, magnitudes: np.ndarray, size: int, places: np.ndarray) -> None:
    """Of a pair of frames, bin by bin."""
    for k in range(size // 2 + 1):
        ar, ai, br, bi = bin_of_both(re, im, places[k] * LANES, places[(size - k) % size] * LANES)
        store(magnitudes, 2 * k * LANES, sqrt(ar * ar + ai * ai))
        store(magnitudes, (2 * k + 1) * LANES, sqrt(br * br + bi * bi))


@njit(cache=True, fastmath={"contract"}, error_model="numpy")
def _transform_pair(
    rows: np.ndarray, columns: int, start: int, window: np.ndarray, re: np.ndarray, im: np.ndarray, twiddles: np.ndarray
) -> None:
    """The spectrum of the windowed frame at `start` as the real part, the next as the imaginary part.

    Rows are windowed on their way into the first stage, which saves a round through the cache.
    """
    quarter = len(window) // 4
    step = quarter * columns
    for j in range(quarter):
        w0, w1, w2, w3 = window[j], window[j + quarter], window[j + 2 * quarter], window[j + 3 * quarter]
        row = start + j * columns
        r0, r1, r2 = load(rows, row), load(rows, row + step), load(rows, row + 2 * step)
        r3, r4 = load(rows, row + 3 * step), load(rows, row + 4 * step)
        values = (
            rounded_product(r0, w0), rounded_product(r1, w0), rounded_product(r1, w1), rounded_product(r2, w1),
            rounded_product(r2, w2), rounded_product(r3, w2), rounded_product(r3, w3), rounded_product(r4, w3),
        )  # fmt: skip
        store_butterfly(re, im, j * LANES, quarter * LANES, values, twiddles, 6 * j)
    after_first_stage(re, im, len(window), twiddles)


@njit(cache=True, fastmath={"contract"}, error_model="numpy")
def _add_pair(
    gradient: np.ndarray, columns: int, start: int, window: np.ndarray, re: np.ndarray, im: np.ndarray,
    twiddles: np.ndarray,
) -> None:  # fmt: skip
    """The transpose of `_transform_pair`; the frames are a quarter apart, so that they share three rows of four."""
    quarter = len(window) // 4
    step = quarter * columns
    before_last_stage(re, im, len(window), twiddles)
    for j in range(quarter):
        four = load_four(re, im, j * LANES, quarter * LANES)
        ar, ai, br, bi, cr, ci, dr, di = transposed_butterfly(*four, twiddles, 6 * j)
        w0, w1, w2, w3 = window[j], window[j + quarter], window[j + 2 * quarter], window[j + 3 * quarter]
        row = start + j * columns
        store(gradient, row, load(gradient, row) + ar * w0)
        store(gradient, row + step, load(gradient, row + step) + ai * w0 + br * w1)
        store(gradient, row + 2 * step, load(gradient, row + 2 * step) + bi * w1 + cr * w2)
        store(gradient, row + 3 * step, load(gradient, row + 3 * step) + ci * w2 + dr * w3)
        store(gradient, row + 4 * step, load(gradient, row + 4 * step) + di * w3)


@njit(cache=True, fastmath={"contract"}, error_model="numpy")
def _compare(
    re: np.ndarray, im: np.ndarray, magnitudes: np.ndarray, floor: float, weight: float, power_weights: np.ndarray,
    level_slopes: np.ndarray, sums: np.ndarray, size: int, places: np.ndarray,
) -> None:  # fmt: skip
    """Differences of two frames summed per lane; the spectra are replaced by the loss's gradient for them."""
    compares_levels = len(power_weights) > 0
    total = load(level_slopes, 2 * LANES) if compares_levels else splat(np.float32(0.0))
    level_slope_a, level_slope_b = load(level_slopes, 0), load(level_slopes, LANES)
    lowest = splat(floor)
    for k in range(size // 2 + 1):
        row, mirrored = places[k] * LANES, places[(size - k) % size] * LANES
        ar, ai, br, bi = bin_of_both(re, im, row, mirrored)
        difference_a, slope_a = _difference(ar, ai, load(magnitudes, 2 * k * LANES), lowest)
        difference_b, slope_b = _difference(br, bi, load(magnitudes, (2 * k + 1) * LANES), lowest)
        total = total + difference_a + difference_b
        if compares_levels:
            slope_a = slope_a + level_slope_a * power_weights[k]
            slope_b = slope_b + level_slope_b * power_weights[k]
        # The inverse transform adds a bin and its mirror, which are the same at both ends.
        share = weight if k == 0 or 2 * k == size else np.float32(0.5) * weight
        slope_a, slope_b = slope_a * share, slope_b * share
        ar, ai, br, bi = ar * slope_a, ai * slope_a, br * slope_b, bi * slope_b
        store_bin_of_both(re, im, row, mirrored, ar, ai, br, bi)
    store(sums, 0, total)


@njit(cache=True, fastmath={"contract"}, error_model="numpy")
def _compare_levels(
    re: np.ndarray, im: np.ndarray, magnitudes: np.ndarray, levels: Levels, slopes: np.ndarray, size: int,
    places: np.ndarray,
) -> None:  # fmt: skip
    """Into `slopes`: what is to be added to the slopes of the two frames' bins per weight, then the levels' difference.

    The derivative of ``0.5 * log(power)`` for |X|, divided by |X|, is the bin's weight in the power over the power.
    """
    power_a = power_b = target_a = target_b = splat(levels.power_floor)
    for k in range(size // 2 + 1):
        ar, ai, br, bi = bin_of_both(re, im, places[k] * LANES, places[(size - k) % size] * LANES)
        theirs_a, theirs_b = load(magnitudes, 2 * k * LANES), load(magnitudes, (2 * k + 1) * LANES)
        own = levels.power_weights[k]
        power_a, power_b = power_a + (ar * ar + ai * ai) * own, power_b + (br * br + bi * bi) * own
        target_a, target_b = target_a + theirs_a * theirs_a * own, target_b + theirs_b * theirs_b * own
    store(slopes, 0, sign(power_a - target_a) / power_a * levels.weight)
    store(slopes, LANES, sign(power_b - target_b) / power_b * levels.weight)
    difference = absolute(log(power_a / target_a)) + absolute(log(power_b / target_b))
    store(slopes, 2 * LANES, difference * (np.float32(0.5) * levels.weight))


@njit(cache=True, fastmath={"contract"}, error_model="numpy")
def _difference(re: Lanes, im: Lanes, target: Lanes, floor: Lanes) -> tuple[Lanes, Lanes]:
    """| |X| - |Y| | + | log |X| - log |Y| |, and its derivative for |X| divided by |X|.

    Below the floor the logarithm is constant. The signs of the two differences agree wherever |X| is above it.
    """
    magnitude = sqrt(re * re + im * im)
    floored, floored_target = maximum(magnitude, floor), maximum(target, floor)
    linear = magnitude - target
    logarithmic = sign(floored - floored_target)
    # One division instead of two, which take longer than anything else here.
    inverse_product = 1.0 / (floored * floored_target)
    ratio = floored * floored * inverse_product
    inverse_magnitude = floored_target * inverse_product
    slope = sign(linear) + only_above(magnitude, floor, logarithmic * inverse_magnitude)
    return absolute(linear) + absolute(log(ratio)), slope * inverse_magnitude
