"""Complex Fourier transforms of sixteen signals at once, in place.

The forward transform leaves its bins in bit-reversed order and the inverse takes them so: nothing is ever moved.
Decimation in frequency, radix 4 with a last radix-2 stage for odd powers of two (Cooley and Tukey 1965). Arrays are
flat float32 [size * LANES], one for the real and one for the imaginary parts.
"""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
from numba import njit

from tinytimbre.kernels.lanes import LANES, Lanes, load, store

Four = tuple[Lanes, Lanes, Lanes, Lanes, Lanes, Lanes, Lanes, Lanes]
"""Real and imaginary parts of four rows in turn."""


@dataclasses.dataclass(frozen=True, eq=False)
class FourierPlan:
    """Tables of one size.

    Attributes:
        size: a power of two, at least 4.
        twiddles: float32, the factors of all stages in the order of use: cos and sin of one, two, three angles.
        places: int64 [size], the row that holds bin k after `forward`.
    """

    size: int
    twiddles: np.ndarray
    places: np.ndarray


@functools.cache
def fourier_plan(size: int) -> FourierPlan:
    """The tables of a size."""
    bits = size.bit_length() - 1
    places = np.array([int(f"{row:0{bits}b}"[::-1], 2) for row in range(size)], np.int64)
    factors = []
    for quarter in _quarters(size):
        angles = -2 * np.pi * np.outer(np.arange(quarter), [1, 2, 3]) / (4 * quarter)
        factors.append(np.stack([np.cos(angles), np.sin(angles)], axis=-1).ravel())
    return FourierPlan(size, np.concatenate(factors).astype(np.float32), places)


def _quarters(size: int) -> list[int]:
    """A quarter of the block length at each radix-4 stage."""
    quarters = [size // 4]
    while quarters[-1] >= 4:
        quarters.append(quarters[-1] // 4)
    return quarters


@njit(cache=True, fastmath={"contract"}, error_model="numpy")
def forward(re: np.ndarray, im: np.ndarray, size: int, twiddles: np.ndarray) -> None:
    """Transforms natural order into bit-reversed bins."""
    for j in range(size // 4):
        values = load_four(re, im, j * LANES, size // 4 * LANES)
        store_butterfly(re, im, j * LANES, size // 4 * LANES, values, twiddles, 6 * j)
    after_first_stage(re, im, size, twiddles)


@njit(cache=True, fastmath={"contract"}, error_model="numpy")
def after_first_stage(re: np.ndarray, im: np.ndarray, size: int, twiddles: np.ndarray) -> None:
    """What `forward` does once the butterflies over a quarter of the rows are done, for who does those himself."""
    quarter, first = size // 4, 0
    while quarter >= 1:
        if quarter < size // 4:
            for block in range(0, size, 4 * quarter):
                for j in range(quarter):
                    row, step = (block + j) * LANES, quarter * LANES
                    store_butterfly(re, im, row, step, load_four(re, im, row, step), twiddles, first + 6 * j)
        first += 6 * quarter
        if quarter == 2:
            _pairs(re, im, size)
        quarter //= 4


@njit(cache=True, fastmath={"contract"}, error_model="numpy")
def inverse(re: np.ndarray, im: np.ndarray, size: int, twiddles: np.ndarray) -> None:
    """The conjugate transpose of `forward`: bit-reversed bins into ``size`` times the natural-order signal."""
    before_last_stage(re, im, size, twiddles)
    for j in range(size // 4):
        values = load_four(re, im, j * LANES, size // 4 * LANES)
        store_four(re, im, j * LANES, size // 4 * LANES, transposed_butterfly(*values, twiddles, 6 * j))


@njit(cache=True, fastmath={"contract"}, error_model="numpy")
def before_last_stage(re: np.ndarray, im: np.ndarray, size: int, twiddles: np.ndarray) -> None:
    """What `inverse` does before its butterflies over a quarter of the rows."""
    quarter, first = size // 4, 0
    while quarter >= 4:
        first += 6 * quarter
        quarter //= 4
    if quarter == 2:
        _pairs(re, im, size)
    while quarter < size // 4:
        for block in range(0, size, 4 * quarter):
            for j in range(quarter):
                row, step = (block + j) * LANES, quarter * LANES
                values = load_four(re, im, row, step)
                store_four(re, im, row, step, transposed_butterfly(*values, twiddles, first + 6 * j))
        quarter *= 4
        first -= 6 * quarter


@njit(cache=True, fastmath={"contract"}, error_model="numpy")
def bin_of_both(re: np.ndarray, im: np.ndarray, row: int, mirrored: int) -> tuple[Lanes, Lanes, Lanes, Lanes]:
    """A bin of each of two real signals a and b, from the transform of a + ib at that bin and at its mirror."""
    pr, pi, qr, qi = load(re, row), load(im, row), load(re, mirrored), load(im, mirrored)
    return (pr + qr) * 0.5, (pi - qi) * 0.5, (pi + qi) * 0.5, (qr - pr) * 0.5


@njit(cache=True, fastmath={"contract"}, error_model="numpy")
def store_bin_of_both(
    re: np.ndarray, im: np.ndarray, row: int, mirrored: int, ar: Lanes, ai: Lanes, br: Lanes, bi: Lanes
) -> None:
    """The inverse of `bin_of_both`; where bin and mirror are one row, the bin's own value stays."""
    store(re, mirrored, ar + bi)
    store(im, mirrored, br - ai)
    store(re, row, ar - bi)
    store(im, row, ai + br)


@njit(cache=True, fastmath={"contract"}, error_model="numpy", forceinline=True)
def load_four(re: np.ndarray, im: np.ndarray, row: int, step: int) -> Four:
    """Four rows, `step` apart."""
    i0, i1, i2, i3 = row, row + step, row + 2 * step, row + 3 * step
    return (
        load(re, i0), load(im, i0), load(re, i1), load(im, i1), load(re, i2), load(im, i2), load(re, i3), load(im, i3)
    )  # fmt: skip


@njit(cache=True, fastmath={"contract"}, error_model="numpy", forceinline=True)
def store_four(re: np.ndarray, im: np.ndarray, row: int, step: int, values: Four) -> None:
    """The inverse of `load_four`."""
    i0, i1, i2, i3 = row, row + step, row + 2 * step, row + 3 * step
    store(re, i0, values[0])
    store(im, i0, values[1])
    store(re, i1, values[2])
    store(im, i1, values[3])
    store(re, i2, values[4])
    store(im, i2, values[5])
    store(re, i3, values[6])
    store(im, i3, values[7])


@njit(cache=True, fastmath={"contract"}, error_model="numpy", forceinline=True)
def store_butterfly(
    re: np.ndarray, im: np.ndarray, row: int, step: int, values: Four, twiddles: np.ndarray, k: int
) -> None:
    """Four rows of a stage of `forward`, stored as soon as they are known; their factors are those from `k` on."""
    ar, ai, br, bi, cr, ci, dr, di = values
    s0r, s1r, s2r, s3r = ar + cr, ar - cr, br + dr, br - dr
    s0i, s1i, s2i, s3i = ai + ci, ai - ci, bi + di, bi - di
    store(re, row, s0r + s2r)
    store(im, row, s0i + s2i)
    xr, xi = s0r - s2r, s0i - s2i
    store(re, row + step, xr * twiddles[k + 2] - xi * twiddles[k + 3])
    store(im, row + step, xr * twiddles[k + 3] + xi * twiddles[k + 2])
    xr, xi = s1r + s3i, s1i - s3r
    store(re, row + 2 * step, xr * twiddles[k] - xi * twiddles[k + 1])
    store(im, row + 2 * step, xr * twiddles[k + 1] + xi * twiddles[k])
    xr, xi = s1r - s3i, s1i + s3r
    store(re, row + 3 * step, xr * twiddles[k + 4] - xi * twiddles[k + 5])
    store(im, row + 3 * step, xr * twiddles[k + 5] + xi * twiddles[k + 4])


@njit(cache=True, fastmath={"contract"}, error_model="numpy", forceinline=True)
def transposed_butterfly(
    ar: Lanes, ai: Lanes, br: Lanes, bi: Lanes, cr: Lanes, ci: Lanes, dr: Lanes, di: Lanes, twiddles: np.ndarray, k: int
) -> Four:
    """Four rows of a stage of `inverse`."""
    u1r, u1i = br * twiddles[k + 2] + bi * twiddles[k + 3], bi * twiddles[k + 2] - br * twiddles[k + 3]
    u2r, u2i = cr * twiddles[k] + ci * twiddles[k + 1], ci * twiddles[k] - cr * twiddles[k + 1]
    u3r, u3i = dr * twiddles[k + 4] + di * twiddles[k + 5], di * twiddles[k + 4] - dr * twiddles[k + 5]
    s0r, s2r, s1r, s3r = ar + u1r, ar - u1r, u2r + u3r, u3i - u2i
    s0i, s2i, s1i, s3i = ai + u1i, ai - u1i, u2i + u3i, u2r - u3r
    return s0r + s1r, s0i + s1i, s2r + s3r, s2i + s3i, s0r - s1r, s0i - s1i, s2r - s3r, s2i - s3i


@njit(cache=True, fastmath={"contract"}, error_model="numpy")
def _pairs(re: np.ndarray, im: np.ndarray, size: int) -> None:
    for row in range(0, size * LANES, 2 * LANES):
        ar, ai, br, bi = load(re, row), load(im, row), load(re, row + LANES), load(im, row + LANES)
        store(re, row, ar + br)
        store(im, row, ai + bi)
        store(re, row + LANES, ar - br)
        store(im, row + LANES, ai - bi)
