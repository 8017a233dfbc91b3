"""The multi-scale spectral loss and its gradient: framing, transform, comparison and way back in one pass.

Signals lie in columns (`tinytimbre.kernels.columns`), so that a frame of sixteen signals is a run of vectors. Two
consecutive frames make one complex transform: one is its real, the next its imaginary part. A block never leaves the
cache between the window and the sum into the gradient, and the target's magnitudes of a frame serve all models in turn.
"""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
from numba import njit

from tinytimbre.kernels.fourier import FourierPlan, bin_of_both, forward, fourier_plan, inverse, store_bin_of_both
from tinytimbre.kernels.lanes import LANES, Lanes, absolute, load, log, maximum, only_above, sign, splat, sqrt, store

OVERLAP = 4
Tables = tuple[int, np.ndarray, np.ndarray, np.ndarray]
"""Size, window, twiddles and places of a scale, as the compiled functions take them."""


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


def target_magnitudes(rows: np.ndarray, scale: Scale) -> np.ndarray:
    """Magnitudes of interleaved signals, float32 [pairs, bins, 2, columns]; the third axis is the frame of the pair."""
    magnitudes = np.empty((scale.pairs, scale.bins, 2, rows.shape[1]), np.float32)
    _target_magnitudes(rows.ravel(), rows.shape[1], magnitudes.ravel(), scale.pairs, _tables(scale))
    return magnitudes


def add_scale(
    rows: np.ndarray, magnitudes: np.ndarray, scale: Scale, *, floor: float, weight: float, with_gradient: bool,
    values: np.ndarray, gradient: np.ndarray,
) -> None:  # fmt: skip
    """Adds one scale's loss to `values` and its gradient to `gradient`.

    Args:
        rows: float32 [rows, columns], interleaved signals.
        magnitudes: of the targets, from `target_magnitudes`; column c of `rows` is compared with column c modulo the
            targets' columns.
        scale: of both.
        floor: magnitudes are raised to it before the logarithm.
        weight: of each bin of each frame.
        with_gradient: whether `gradient` is wanted.
        values: float64 [columns], weighted sum of the differences of the magnitudes and of their logarithms.
        gradient: float32 [rows, columns].
    """
    _add_scale(
        rows.ravel(), rows.shape[1], magnitudes.ravel(), magnitudes.shape[3], scale.pairs, np.float32(floor),
        np.float32(weight), with_gradient, values, gradient.reshape(-1), _tables(scale),
    )  # fmt: skip


def _tables(scale: Scale) -> Tables:
    return scale.plan.size, scale.window, scale.plan.twiddles, scale.plan.places


@njit(cache=True, fastmath={"contract"}, error_model="numpy")
def _target_magnitudes(rows: np.ndarray, columns: int, magnitudes: np.ndarray, pairs: int, tables: Tables) -> None:
    size, window, twiddles, places = tables
    re, im = np.empty(size * LANES, np.float32), np.empty(size * LANES, np.float32)
    for pair in range(pairs):
        for column in range(0, columns, LANES):
            _load_pair(rows, columns, 2 * pair * (size // OVERLAP) * columns + column, window, re, im)
            forward(re, im, size, twiddles)
            first = pair * (size // 2 + 1) * 2 * columns + column
            for k in range(size // 2 + 1):
                ar, ai, br, bi = bin_of_both(re, im, places[k] * LANES, places[(size - k) % size] * LANES)
                store(magnitudes, first + 2 * k * columns, sqrt(ar * ar + ai * ai))
                store(magnitudes, first + (2 * k + 1) * columns, sqrt(br * br + bi * bi))


@njit(cache=True, fastmath={"contract"}, error_model="numpy")
def _add_scale(
    rows: np.ndarray, columns: int, magnitudes: np.ndarray, target_columns: int, pairs: int, floor: float,
    weight: float, with_gradient: bool, values: np.ndarray, gradient: np.ndarray, tables: Tables,
) -> None:  # fmt: skip
    size, window, twiddles, places = tables
    re, im = np.empty(size * LANES, np.float32), np.empty(size * LANES, np.float32)
    sums = np.empty(LANES, np.float32)
    for pair in range(pairs):
        for column in range(0, columns, LANES):
            start = 2 * pair * (size // OVERLAP) * columns + column
            target = pair * (size // 2 + 1) * 2 * target_columns + column % target_columns
            _load_pair(rows, columns, start, window, re, im)
            forward(re, im, size, twiddles)
            _compare(re, im, magnitudes, target, target_columns, floor, weight, sums, size, places)
            for lane in range(LANES):
                values[column + lane] += weight * sums[lane]
            if with_gradient:
                inverse(re, im, size, twiddles)
                _add_pair(gradient, columns, start, window, re, im)


@njit(cache=True, fastmath={"contract"}, error_model="numpy")
def _load_pair(rows: np.ndarray, columns: int, start: int, window: np.ndarray, re: np.ndarray, im: np.ndarray) -> None:
    """The windowed frame at `start` as the real part, the next as the imaginary part."""
    size = len(window)
    following = start + size // OVERLAP * columns
    for n in range(size):
        store(re, n * LANES, load(rows, start + n * columns) * window[n])
        store(im, n * LANES, load(rows, following + n * columns) * window[n])


@njit(cache=True, fastmath={"contract"}, error_model="numpy")
def _add_pair(
    gradient: np.ndarray, columns: int, start: int, window: np.ndarray, re: np.ndarray, im: np.ndarray
) -> None:
    """The transpose of `_load_pair`."""
    size = len(window)
    following = start + size // OVERLAP * columns
    for n in range(size):
        row = start + n * columns
        store(gradient, row, load(gradient, row) + load(re, n * LANES) * window[n])
        row = following + n * columns
        store(gradient, row, load(gradient, row) + load(im, n * LANES) * window[n])


@njit(cache=True, fastmath={"contract"}, error_model="numpy")
def _compare(
    re: np.ndarray, im: np.ndarray, magnitudes: np.ndarray, target: int, target_columns: int, floor: float,
    weight: float, sums: np.ndarray, size: int, places: np.ndarray,
) -> None:  # fmt: skip
    """Differences of two frames summed per lane; the spectra are replaced by the loss's gradient for them."""
    total = splat(np.float32(0.0))
    lowest = splat(floor)
    for k in range(size // 2 + 1):
        row, mirrored = places[k] * LANES, places[(size - k) % size] * LANES
        ar, ai, br, bi = bin_of_both(re, im, row, mirrored)
        here = target + 2 * k * target_columns
        difference_a, slope_a = _difference(ar, ai, load(magnitudes, here), lowest)
        difference_b, slope_b = _difference(br, bi, load(magnitudes, here + target_columns), lowest)
        total = total + difference_a + difference_b
        # The inverse transform adds a bin and its mirror, which are the same at both ends.
        share = weight if k == 0 or 2 * k == size else np.float32(0.5) * weight
        slope_a, slope_b = slope_a * share, slope_b * share
        ar, ai, br, bi = ar * slope_a, ai * slope_a, br * slope_b, bi * slope_b
        store_bin_of_both(re, im, row, mirrored, ar, ai, br, bi)
    store(sums, 0, total)


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
