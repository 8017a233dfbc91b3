"""Phase and amplitudes of the harmonic oscillators, in float64 where errors would add up.

f0 is an input of the decoder, never an output, so for given data the oscillators are constants and the audio is linear
in the amplitudes: ``audio[t] = sum over h of amplitude_h[t] * sin(2 pi h cycles[t])``. The definitions are those of
ddsp 3.7's ``Harmonic``: f0 interpolated linearly between frames, amplitudes by overlapping Hann windows, harmonics at
or above half the sample rate silent, and the distribution normalised over those below it.
"""

from __future__ import annotations

import numpy as np


def upsample_f0(f0_hz: np.ndarray, *, hop: int, last_hz: float | None = None) -> np.ndarray:
    """Linear interpolation of f0 to samples, frame i at sample ``i * hop``.

    Args:
        f0_hz: [frames] in Hz.
        hop: samples per frame.
        last_hz: f0 of the frame after the last; the last one is held if absent.

    Returns:
        float64 [frames * hop] in Hz.
    """
    ends = np.append(f0_hz[1:], f0_hz[-1] if last_hz is None else last_hz).astype(np.float64)
    ramp = np.arange(hop) / hop
    start = f0_hz.astype(np.float64)[:, None]
    return (start + (ends[:, None] - start) * ramp).reshape(-1)


def accumulate_cycles(f0_hz: np.ndarray, *, sample_rate_hz: int, start: float = 0.0) -> np.ndarray:
    """Phase in cycles, modulo 1, after each sample's own advance (an inclusive cumulative sum, as ddsp's).

    Args:
        f0_hz: float64 [samples].
        start: cycles before the first sample.

    Returns:
        float64 [samples] in [0, 1). The error grows by about 1e-16 a sample: 1e-8 cycles after an hour.
    """
    return np.mod(start + np.cumsum(f0_hz / sample_rate_hz), 1.0)


def harmonic_amplitudes(controls: np.ndarray, f0_hz: np.ndarray, *, harmonics: int, sample_rate_hz: int) -> np.ndarray:
    """Amplitude of each harmonic: overall amplitude times the normalised distribution below Nyquist.

    Args:
        controls: float [frames, 1 + harmonics + noise bands].
        f0_hz: float [frames].

    Returns:
        float [frames, harmonics].
    """
    audible = f0_hz[:, None] * np.arange(1, harmonics + 1) < sample_rate_hz / 2
    distribution = np.where(audible, controls[:, 1 : 1 + harmonics], 0.0)
    total = distribution.sum(axis=-1, keepdims=True)
    return controls[:, :1] * distribution / np.where(total > 0, total, 1.0)


def hann_ramps(hop: int) -> tuple[np.ndarray, np.ndarray]:
    """The falling and the rising half of a periodic Hann window of ``2 * hop``; they sum to one."""
    rising = 0.5 - 0.5 * np.cos(np.pi * np.arange(hop) / hop)
    return 1.0 - rising, rising
