"""The bank of harmonic oscillators and its transpose, for many models on the same pitch.

The sines of a frame are made four harmonics at a time by rotating the fundamental's phasor, used by every model, and
forgotten: storing them for a batch would cost more memory traffic than the sums themselves. Harmonics above half the
sample rate end the loop. A rotation adds at most one rounding, so harmonic h is off by h * 6e-8, less than a float32
phase multiplied by h would be.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from tinytimbre.kernels import memory
from tinytimbre.kernels.lanes import LANES, lane_sum, load, only_above, splat, store
from tinytimbre.kernels.memory import scratch

AT_ONCE = 4


def harmonic_audio(
    amplitudes: np.ndarray, cosine: np.ndarray, sine: np.ndarray, highest: np.ndarray, rising: np.ndarray
) -> np.ndarray:
    """Sums the oscillators.

    Args:
        amplitudes: float32 [models, clips, frames, harmonics]; harmonics a multiple of 4, filled up with zeros.
        cosine: float32 [clips, frames * hop], of the fundamental's phase.
        sine: likewise.
        highest: float32 [clips, frames * hop], harmonics with numbers below it sound.
        rising: float32 [hop], how an amplitude goes over into that of the next frame.

    Returns:
        float32 [models, clips, frames * hop].
    """
    models, clips, frames, _ = amplitudes.shape
    audio = memory.empty(models, clips, frames * len(rising))
    _harmonic_audio(amplitudes, cosine, sine, highest, rising, audio)
    return audio


def amplitude_gradient(
    upstream: np.ndarray, harmonics: int, cosine: np.ndarray, sine: np.ndarray, highest: np.ndarray, rising: np.ndarray
) -> np.ndarray:
    """The transpose of `harmonic_audio`: float32 [models, clips, frames, harmonics] from the audio's gradient."""
    models, clips, samples = upstream.shape
    gradient = memory.zeros(models, clips, samples // len(rising), harmonics)
    _amplitude_gradient(upstream, cosine, sine, highest, rising, gradient)
    return gradient


@njit(cache=True, fastmath={"contract"}, error_model="numpy")
def _harmonic_audio(
    amplitudes: np.ndarray, cosine: np.ndarray, sine: np.ndarray, highest: np.ndarray, rising: np.ndarray,
    audio: np.ndarray,
) -> None:  # fmt: skip
    models, clips, frames, harmonics = amplitudes.shape
    hop = len(rising)
    wide = (hop + LANES - 1) // LANES * LANES
    bank = _empty_bank(wide)
    ramp, total = _padded(rising, wide), scratch(models * wide).reshape(models, wide)
    for clip in range(clips):
        for frame in range(frames):
            start, following = frame * hop, min(frame + 1, frames - 1)
            top = _start_bank(bank, cosine[clip], sine[clip], highest[clip], start, hop)
            total[:] = 0.0
            for first in range(0, harmonics, AT_ONCE):
                if first + 1 >= top:
                    break
                _next_sines(bank, first, wide)
                for model in range(models):
                    _add_sines(
                        total[model], bank, ramp, amplitudes[model, clip, frame, first : first + AT_ONCE],
                        amplitudes[model, clip, following, first : first + AT_ONCE], wide,
                    )  # fmt: skip
            for model in range(models):
                audio[model, clip, start : start + hop] = total[model, :hop]


@njit(cache=True, fastmath={"contract"}, error_model="numpy")
def _amplitude_gradient(
    upstream: np.ndarray, cosine: np.ndarray, sine: np.ndarray, highest: np.ndarray, rising: np.ndarray,
    gradient: np.ndarray,
) -> None:  # fmt: skip
    models, clips, frames, harmonics = gradient.shape
    hop = len(rising)
    wide = (hop + LANES - 1) // LANES * LANES
    bank = _empty_bank(wide)
    ramp, here = _padded(rising, wide), scratch(models * 2 * wide).reshape(models, 2, wide)
    here[:] = 0.0
    sums = np.empty(2 * AT_ONCE, np.float32)
    for clip in range(clips):
        for frame in range(frames):
            start, following = frame * hop, min(frame + 1, frames - 1)
            top = _start_bank(bank, cosine[clip], sine[clip], highest[clip], start, hop)
            for model in range(models):
                here[model, 0, :hop] = upstream[model, clip, start : start + hop]
                here[model, 1] = here[model, 0] * ramp
            for first in range(0, harmonics, AT_ONCE):
                if first + 1 >= top:
                    break
                _next_sines(bank, first, wide)
                for model in range(models):
                    _project(sums, here[model, 0], here[model, 1], bank, wide)
                    for i in range(AT_ONCE):
                        gradient[model, clip, frame, first + i] += sums[i] - sums[AT_ONCE + i]
                        gradient[model, clip, following, first + i] += sums[AT_ONCE + i]


@njit(cache=True)
def _padded(values: np.ndarray, wide: int) -> np.ndarray:
    padded = scratch(wide)
    padded[: len(values)], padded[len(values) :] = values, 0.0
    return padded


@njit(cache=True)
def _empty_bank(wide: int) -> np.ndarray:
    """Rows: phasor of the fundamental (2), of the harmonic reached (2), limit, then four sines; zero beyond the hop."""
    bank = scratch((5 + AT_ONCE) * wide).reshape(5 + AT_ONCE, wide)
    bank[:] = 0.0
    return bank


@njit(cache=True)
def _start_bank(
    bank: np.ndarray, cosine: np.ndarray, sine: np.ndarray, highest: np.ndarray, start: int, hop: int
) -> float:
    """Sets the phasors of a frame; returns the limit that no harmonic of it reaches."""
    bank[0, :hop] = cosine[start : start + hop]
    bank[1, :hop] = sine[start : start + hop]
    bank[2, :hop] = 1.0
    bank[3, :hop] = 0.0
    bank[4, :hop] = highest[start : start + hop]
    return bank[4].max()


@njit(cache=True, fastmath={"contract"}, error_model="numpy")
def _next_sines(bank: np.ndarray, first: int, wide: int) -> None:
    """Rows 5 to 8: sines of harmonics ``first + 1`` to ``first + 4``."""
    for n in range(0, wide, LANES):
        c1, s1 = load(bank[0], n), load(bank[1], n)
        c, s, limit = load(bank[2], n), load(bank[3], n), load(bank[4], n)
        for i in range(AT_ONCE):
            c, s = c * c1 - s * s1, s * c1 + c * s1
            store(bank[5 + i], n, only_above(limit, splat(np.float32(first + 1 + i)), s))
        store(bank[2], n, c)
        store(bank[3], n, s)


@njit(cache=True, fastmath={"contract"}, error_model="numpy")
def _add_sines(
    total: np.ndarray, bank: np.ndarray, ramp: np.ndarray, now: np.ndarray, then: np.ndarray, wide: int
) -> None:
    a0, a1, a2, a3 = now[0], now[1], now[2], now[3]
    d0, d1, d2, d3 = then[0] - a0, then[1] - a1, then[2] - a2, then[3] - a3
    for n in range(0, wide, LANES):
        s0, s1, s2, s3 = load(bank[5], n), load(bank[6], n), load(bank[7], n), load(bank[8], n)
        held = (s0 * a0 + s1 * a1) + (s2 * a2 + s3 * a3)
        moved = (s0 * d0 + s1 * d1) + (s2 * d2 + s3 * d3)
        store(total, n, load(total, n) + held + moved * load(ramp, n))


@njit(cache=True, fastmath={"contract"}, error_model="numpy")
def _project(sums: np.ndarray, plain: np.ndarray, ramped: np.ndarray, bank: np.ndarray, wide: int) -> None:
    """Inner products of the gradient, plain and times the ramp, with the four sines."""
    zero = splat(np.float32(0.0))
    p0, p1, p2, p3, q0, q1, q2, q3 = zero, zero, zero, zero, zero, zero, zero, zero
    for n in range(0, wide, LANES):
        g, r = load(plain, n), load(ramped, n)
        s0, s1, s2, s3 = load(bank[5], n), load(bank[6], n), load(bank[7], n), load(bank[8], n)
        p0, p1, p2, p3 = p0 + g * s0, p1 + g * s1, p2 + g * s2, p3 + g * s3
        q0, q1, q2, q3 = q0 + r * s0, q1 + r * s1, q2 + r * s2, q3 + r * s3
    sums[0], sums[1], sums[2], sums[3] = lane_sum(p0), lane_sum(p1), lane_sum(p2), lane_sum(p3)
    sums[4], sums[5], sums[6], sums[7] = lane_sum(q0), lane_sum(q1), lane_sum(q2), lane_sum(q3)
