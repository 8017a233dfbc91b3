"""Filtered noise: white noise through a time-varying linear-phase filter, frame by frame.

As ddsp 3.7's ``FilteredNoise`` (window_size 0): magnitudes at equally spaced frequencies become a Hann-windowed
impulse response (frequency sampling); each frame of ``hop`` samples of uniform noise is convolved with its own
response and the tails overlap. The response is linear in the magnitudes, and a linear-phase response is a real gain
per frequency times a fixed delay, so a frame costs one small real product and one inverse FFT.
"""

from __future__ import annotations

import numpy as np


def response_size(noise_bands: int) -> int:
    """Taps of the impulse response."""
    return 2 * (noise_bands - 1)


def fft_size(noise_bands: int, *, hop: int) -> int:
    """The power of two that holds a frame convolved with its response."""
    return 1 << (hop + response_size(noise_bands) - 2).bit_length()


def delay_samples(noise_bands: int) -> int:
    """Samples cut off at the front to undo the filter's delay (ddsp's crop_and_compensate_delay)."""
    return max((response_size(noise_bands) - 1) // 2 - 1, 0)


ADVANCE = 2
"""Samples by which cutting off `delay_samples` is short of the response's middle, for 3 bands or more."""


def response_matrix(noise_bands: int) -> np.ndarray:
    """Linear map from magnitudes to the middle and one side of the windowed zero-phase response, which is symmetric.

    Returns:
        float32 [noise_bands, response_size / 2]; the window ends the other side in a zero.
    """
    return impulse_responses(noise_bands)[:, response_size(noise_bands) // 2 :].astype(np.float32)


def gain_matrix(noise_bands: int, *, size: int) -> np.ndarray:
    """Linear map from magnitudes to the real, zero-phase gain of the windowed response.

    Returns:
        float32 [noise_bands, size // 2 + 1].
    """
    spectrum = np.fft.rfft(impulse_responses(noise_bands), n=size, axis=-1)
    return np.real(spectrum * np.conj(_delay(response_size(noise_bands) // 2, size=size))).astype(np.float32)


def impulse_responses(noise_bands: int) -> np.ndarray:
    """Windowed causal response of each band alone, float64 [noise_bands, response_size]; a filter is their sum."""
    taps = response_size(noise_bands)
    responses = np.fft.irfft(np.eye(noise_bands), n=taps, axis=-1)
    window = np.fft.fftshift(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(taps) / taps))
    return np.asarray(np.fft.fftshift(responses * window, axes=-1))


def noise_spectra(noise: np.ndarray, *, noise_bands: int, size: int) -> np.ndarray:
    """Spectra of noise frames with the filter's delay built in.

    Args:
        noise: float [..., hop].

    Returns:
        complex64 [..., size // 2 + 1]; times the gains, inverse transformed, it is the filtered frame.
    """
    spectra = np.fft.rfft(noise, n=size, axis=-1) * _delay(response_size(noise_bands) // 2, size=size)
    return spectra.astype(np.complex64)


def white_noise(seed: int, *, first_frame: int, frames: int, hop: int) -> np.ndarray:
    """Uniform noise in [-1, 1), float32 [frames, hop]; a frame's noise depends on the seed and its index alone."""
    streams = (np.random.Philox(key=seed, counter=[0, 0, 0, first_frame + i]) for i in range(frames))
    rows = [np.random.Generator(stream).random(hop, dtype=np.float32) for stream in streams]
    return 2.0 * np.stack(rows) - 1.0 if rows else np.zeros((0, hop), np.float32)


def _delay(samples: int, *, size: int) -> np.ndarray:
    return np.exp(-2j * np.pi * samples * np.arange(size // 2 + 1) / size)
