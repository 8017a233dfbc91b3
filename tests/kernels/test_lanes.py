"""The vector type against NumPy in float64."""

from __future__ import annotations

import numpy as np
from numba import njit

from tinytimbre.kernels import lanes
from tinytimbre.kernels.lanes import LANES, load, only_above, splat, store

ULP = 2.0**-23


@njit
def _logarithms(values, out):
    for row in range(0, len(values), LANES):
        store(out, row, lanes.log(load(values, row)))


@njit
def _exponentials(values, out):
    for row in range(0, len(values), LANES):
        store(out, row, lanes.exp(load(values, row)))


@njit
def _arithmetic(left, right, out):
    a, b = load(left, 0), load(right, 0)
    store(out, 0, (a + b * 2.0 - 1.0) / b)
    store(out, LANES, lanes.maximum(a, b))
    store(out, 2 * LANES, lanes.sign(a))
    store(out, 3 * LANES, only_above(a, b, lanes.sqrt(lanes.absolute(a))))
    store(out, 4 * LANES, splat(lanes.lane_sum(a)))


def test_logarithm_over_all_normal_numbers() -> None:
    values = np.geomspace(1.2e-38, 3e38, 1 << 16).astype(np.float32)
    out = np.empty_like(values)
    _logarithms(values, out)
    expected = np.log(values.astype(np.float64))
    # Two units in the last place of the result, and of 1 where the result is near zero.
    assert np.all(np.abs(out - expected) <= 2 * ULP * np.maximum(np.abs(expected), 0.5))


def test_exponential() -> None:
    values = np.linspace(-100, 100, 1 << 16).astype(np.float32)
    out = np.empty_like(values)
    _exponentials(values, out)
    expected = np.exp(np.clip(values.astype(np.float64), -87, 87))
    # The argument's reduction in float32 leaves 1e-7 of it, a factor of the result; two units for the rest.
    assert np.all(np.abs(out / expected - 1) <= 2 * ULP + 2e-8)


def test_arithmetic_with_vectors_and_numbers() -> None:
    rng = np.random.default_rng(0)
    left, right = rng.normal(size=(2, LANES)).astype(np.float32)
    left[3] = 0.0
    out = np.empty(5 * LANES, np.float32)
    _arithmetic(left, right, out)
    expected = np.concatenate([
        (left + right * 2 - 1) / right, np.maximum(left, right), np.sign(left),
        np.where(left > right, np.sqrt(np.abs(left)), 0), np.full(LANES, left.sum()),
    ])  # fmt: skip
    # A few roundings of numbers of the size of the operands, divided by the smallest divisor.
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-5)


def test_maximum_keeps_a_nan_of_the_left() -> None:
    left = np.full(LANES, np.nan, np.float32)
    out = np.empty(5 * LANES, np.float32)
    _arithmetic(left, np.ones(LANES, np.float32), out)
    assert np.isnan(out[LANES : 2 * LANES]).all()
