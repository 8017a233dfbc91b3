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
    quarter, first = size // 4, 0
    while quarter >= 1:
        for block in range(0, size, 4 * quarter):
            for j in range(quarter):
                _butterfly(re, im, (block + j) * LANES, quarter * LANES, twiddles, first + 6 * j)
        first += 6 * quarter
        if quarter == 2:
            _pairs(re, im, size)
        quarter //= 4


@njit(cache=True, fastmath={"contract"}, error_model="numpy")
def inverse(re: np.ndarray, im: np.ndarray, size: int, twiddles: np.ndarray) -> None:
    """The conjugate transpose of `forward`: bit-reversed bins into ``size`` times the natural-order signal."""
    quarter, first = size // 4, 0
    while quarter >= 4:
        first += 6 * quarter
        quarter //= 4
    if quarter == 2:
        _pairs(re, im, size)
    while quarter <= size // 4:
        for block in range(0, size, 4 * quarter):
            for j in range(quarter):
                _transposed_butterfly(re, im, (block + j) * LANES, quarter * LANES, twiddles, first + 6 * j)
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


@njit(cache=True, fastmath={"contract"}, error_model="numpy")
def _butterfly(re: np.ndarray, im: np.ndarray, row: int, step: int, twiddles: np.ndarray, k: int) -> None:
    i0, i1, i2, i3 = row, row + step, row + 2 * step, row + 3 * step
    ar, br, cr, dr = load(re, i0), load(re, i1), load(re, i2), load(re, i3)
    ai, bi, ci, di = load(im, i0), load(im, i1), load(im, i2), load(im, i3)
    s0r, s1r, s2r, s3r = ar + cr, ar - cr, br + dr, br - dr
    s0i, s1i, s2i, s3i = ai + ci, ai - ci, bi + di, bi - di
    store(re, i0, s0r + s2r)
    store(im, i0, s0i + s2i)
    xr, xi = s0r - s2r, s0i - s2i
    store(re, i1, xr * twiddles[k + 2] - xi * twiddles[k + 3])
    store(im, i1, xr * twiddles[k + 3] + xi * twiddles[k + 2])
    xr, xi = s1r + s3i, s1i - s3r
    store(re, i2, xr * twiddles[k] - xi * twiddles[k + 1])
    store(im, i2, xr * twiddles[k + 1] + xi * twiddles[k])
    xr, xi = s1r - s3i, s1i + s3r
    store(re, i3, xr * twiddles[k + 4] - xi * twiddles[k + 5])
    store(im, i3, xr * twiddles[k + 5] + xi * twiddles[k + 4])


@njit(cache=True, fastmath={"contract"}, error_model="numpy")
def _transposed_butterfly(re: np.ndarray, im: np.ndarray, row: int, step: int, twiddles: np.ndarray, k: int) -> None:
    i0, i1, i2, i3 = row, row + step, row + 2 * step, row + 3 * step
    u0r, u0i = load(re, i0), load(im, i0)
    xr, xi = load(re, i1), load(im, i1)
    u1r, u1i = xr * twiddles[k + 2] + xi * twiddles[k + 3], xi * twiddles[k + 2] - xr * twiddles[k + 3]
    xr, xi = load(re, i2), load(im, i2)
    u2r, u2i = xr * twiddles[k] + xi * twiddles[k + 1], xi * twiddles[k] - xr * twiddles[k + 1]
    xr, xi = load(re, i3), load(im, i3)
    u3r, u3i = xr * twiddles[k + 4] + xi * twiddles[k + 5], xi * twiddles[k + 4] - xr * twiddles[k + 5]
    s0r, s2r, s1r, s3r = u0r + u1r, u0r - u1r, u2r + u3r, u3i - u2i
    s0i, s2i, s1i, s3i = u0i + u1i, u0i - u1i, u2i + u3i, u2r - u3r
    store(re, i0, s0r + s1r)
    store(im, i0, s0i + s1i)
    store(re, i1, s2r + s3r)
    store(im, i1, s2i + s3i)
    store(re, i2, s0r - s1r)
    store(im, i2, s0i - s1i)
    store(re, i3, s2r - s3r)
    store(im, i3, s2i - s3i)


@njit(cache=True, fastmath={"contract"}, error_model="numpy")
def _pairs(re: np.ndarray, im: np.ndarray, size: int) -> None:
    for row in range(0, size * LANES, 2 * LANES):
        ar, ai, br, bi = load(re, row), load(im, row), load(re, row + LANES), load(im, row + LANES)
        store(re, row, ar + br)
        store(im, row, ai + bi)
        store(re, row + LANES, ar - br)
        store(im, row + LANES, ai - bi)
