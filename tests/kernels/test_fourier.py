"""The transforms against NumPy's."""

from __future__ import annotations

import numpy as np
import pytest

from tinytimbre.kernels.fourier import forward, fourier_plan, inverse
from tinytimbre.kernels.lanes import LANES


@pytest.mark.parametrize("size", [4, 8, 16, 32, 64, 512, 2048, 8192])
def test_forward_and_back(size: int) -> None:
    rng = np.random.default_rng(size)
    signal = rng.normal(size=(size, LANES)) + 1j * rng.normal(size=(size, LANES))
    re, im = (np.ascontiguousarray(part, np.float32).reshape(-1) for part in (signal.real, signal.imag))
    plan = fourier_plan(size)
    forward(re, im, size, plan.twiddles)
    spectrum = (re + 1j * im).reshape(size, LANES)[plan.places]
    expected = np.fft.fft(signal, axis=0)
    # Each of log2(size) stages rounds once: 1e-7 of the largest bin covers thirteen of them.
    assert np.abs(spectrum - expected).max() < 5e-7 * np.abs(expected).max()
    inverse(re, im, size, plan.twiddles)
    assert np.abs((re + 1j * im).reshape(size, LANES) / size - signal).max() < 5e-6
