"""Noise through a time-varying zero-phase filter, and the gradient for the filter, sixteen signals at a time.

A symmetric response has a real spectrum, so two consecutive frames' gains are the real and the imaginary part of one
transform, and so are two frames of filtered noise. The noise itself is data: its spectra serve all models.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from tinytimbre.kernels import memory
from tinytimbre.kernels.fourier import FourierPlan, bin_of_both, forward, inverse, store_bin_of_both
from tinytimbre.kernels.lanes import LANES, load, splat, store
from tinytimbre.kernels.memory import scratch

Tables = tuple[int, np.ndarray, np.ndarray]
"""Size, twiddles and places of a plan, as the compiled functions take them."""


def noise_spectra(noise: np.ndarray, *, hop: int, lead: int, plan: FourierPlan) -> np.ndarray:
    """Spectra of noise frames that start `lead` samples into the transform.

    Args:
        noise: float32 [frames * hop, shared columns].

    Returns:
        float32 [pairs, bins, 4, shared columns]: real and imaginary part of the pair's first and second frame.
    """
    frames, columns = noise.shape[0] // hop, noise.shape[1]
    spectra = memory.empty((frames + 1) // 2, plan.size // 2 + 1, 4, columns)
    _noise_spectra(noise.reshape(-1), columns, frames, hop, lead, spectra.reshape(-1), _tables(plan))
    return spectra


def filter_noise(responses: np.ndarray, spectra: np.ndarray, *, taps: int, hop: int, plan: FourierPlan) -> np.ndarray:
    """Filters every frame with its response and overlaps the tails.

    Args:
        responses: float32 [frames * taps, columns], the middle tap and those to one side of it.
        spectra: of the noise, from `noise_spectra`.

    Returns:
        float32 [frames * hop + plan.size, columns]; frame i starts at row ``i * hop``.
    """
    frames, columns = responses.shape[0] // taps, responses.shape[1]
    # The empty second frame of an odd number's last pair is added, too.
    audio = memory.zeros((frames + frames % 2) * hop + plan.size, columns)
    _filter_noise(
        responses.reshape(-1), columns, frames, taps, spectra.reshape(-1), spectra.shape[3], hop, audio.reshape(-1),
        _tables(plan),
    )  # fmt: skip
    return audio


def response_gradient(upstream: np.ndarray, spectra: np.ndarray, *, frames: int, taps: int, hop: int,
                      plan: FourierPlan) -> np.ndarray:  # fmt: skip
    """The transpose of `filter_noise`: float32 [frames * taps, columns] from the gradient of its result."""
    columns = upstream.shape[1]
    gradient = memory.empty((frames + frames % 2) * taps, columns)
    _response_gradient(
        upstream.reshape(-1), columns, frames, taps, spectra.reshape(-1), spectra.shape[3], hop, gradient.reshape(-1),
        _tables(plan),
    )  # fmt: skip
    return gradient[: frames * taps]


def _tables(plan: FourierPlan) -> Tables:
    return plan.size, plan.twiddles, plan.places


@njit(cache=True, fastmath={"contract"}, error_model="numpy")
def _noise_spectra(
    noise: np.ndarray, columns: int, frames: int, hop: int, lead: int, spectra: np.ndarray, tables: Tables
) -> None:
    size, twiddles, places = tables
    re, im = scratch(size * LANES), scratch(size * LANES)
    for pair in range((frames + 1) // 2):
        for column in range(0, columns, LANES):
            re[:], im[:] = 0.0, 0.0
            for n in range(hop):
                row = (2 * pair * hop + n) * columns + column
                store(re, (lead + n) * LANES, load(noise, row))
                if 2 * pair + 1 < frames:
                    store(im, (lead + n) * LANES, load(noise, row + hop * columns))
            forward(re, im, size, twiddles)
            for k in range(size // 2 + 1):
                row, mirrored = places[k] * LANES, places[(size - k) % size] * LANES
                ar, ai, br, bi = bin_of_both(re, im, row, mirrored)
                first = ((pair * (size // 2 + 1) + k) * 4) * columns + column
                store(spectra, first, ar)
                store(spectra, first + columns, ai)
                store(spectra, first + 2 * columns, br)
                store(spectra, first + 3 * columns, bi)


@njit(cache=True, fastmath={"contract"}, error_model="numpy")
def _filter_noise(
    responses: np.ndarray, columns: int, frames: int, taps: int, spectra: np.ndarray, shared: int, hop: int,
    audio: np.ndarray, tables: Tables,
) -> None:  # fmt: skip
    size, twiddles, places = tables
    re, im = scratch(size * LANES), scratch(size * LANES)
    scale = np.float32(1.0 / size)
    for pair in range((frames + 1) // 2):
        for column in range(0, columns, LANES):
            _load_responses(responses, columns, frames, taps, pair, column, re, im, size)
            forward(re, im, size, twiddles)
            for k in range(size // 2 + 1):
                row, mirrored = places[k] * LANES, places[(size - k) % size] * LANES
                first = ((pair * (size // 2 + 1) + k) * 4) * shared + column % shared
                gain_a, gain_b = load(re, row) * scale, load(im, row) * scale
                ar, ai = gain_a * load(spectra, first), gain_a * load(spectra, first + shared)
                br, bi = gain_b * load(spectra, first + 2 * shared), gain_b * load(spectra, first + 3 * shared)
                store_bin_of_both(re, im, row, mirrored, ar, ai, br, bi)
            inverse(re, im, size, twiddles)
            for n in range(size):
                here = (2 * pair * hop + n) * columns + column
                store(audio, here, load(audio, here) + load(re, n * LANES))
                here += hop * columns
                store(audio, here, load(audio, here) + load(im, n * LANES))


@njit(cache=True, fastmath={"contract"}, error_model="numpy")
def _load_responses(
    responses: np.ndarray, columns: int, frames: int, taps: int, pair: int, column: int, re: np.ndarray,
    im: np.ndarray, size: int,
) -> None:  # fmt: skip
    """Two frames' symmetric responses around row 0."""
    re[:], im[:] = 0.0, 0.0
    for tap in range(taps):
        here = (2 * pair * taps + tap) * columns + column
        mirrored = (size - tap) % size * LANES
        value = load(responses, here)
        store(re, tap * LANES, value)
        store(re, mirrored, value)
        if 2 * pair + 1 < frames:
            value = load(responses, here + taps * columns)
            store(im, tap * LANES, value)
            store(im, mirrored, value)


@njit(cache=True, fastmath={"contract"}, error_model="numpy")
def _response_gradient(
    upstream: np.ndarray, columns: int, frames: int, taps: int, spectra: np.ndarray, shared: int, hop: int,
    gradient: np.ndarray, tables: Tables,
) -> None:  # fmt: skip
    size, twiddles, places = tables
    re, im = scratch(size * LANES), scratch(size * LANES)
    scale = np.float32(1.0 / size)
    for pair in range((frames + 1) // 2):
        for column in range(0, columns, LANES):
            for n in range(size):
                here = (2 * pair * hop + n) * columns + column
                store(re, n * LANES, load(upstream, here))
                store(im, n * LANES, load(upstream, here + hop * columns))
            forward(re, im, size, twiddles)
            for k in range(size // 2 + 1):
                row, mirrored = places[k] * LANES, places[(size - k) % size] * LANES
                ar, ai, br, bi = bin_of_both(re, im, row, mirrored)
                first = ((pair * (size // 2 + 1) + k) * 4) * shared + column % shared
                # The derivative for a real gain: the real part of the noise's bin times the conjugate gradient's.
                a = (ar * load(spectra, first) + ai * load(spectra, first + shared)) * scale
                b = (br * load(spectra, first + 2 * shared) + bi * load(spectra, first + 3 * shared)) * scale
                store(re, mirrored, a)
                store(im, mirrored, b)
                store(re, row, a)
                store(im, row, b)
            inverse(re, im, size, twiddles)
            for tap in range(taps):
                here = (2 * pair * taps + tap) * columns + column
                mirrored = (size - tap) % size * LANES
                both = splat(np.float32(0.0)) if tap == 0 else load(re, mirrored)
                store(gradient, here, load(re, tap * LANES) + both)
                both = splat(np.float32(0.0)) if tap == 0 else load(im, mirrored)
                store(gradient, here + taps * columns, load(im, tap * LANES) + both)
