"""A-weighted loudness and RMS energy of a signal, number for number as ddsp 3.7 defines them.

`ddsp.spectral_ops.compute_loudness` and `compute_power`, with ``padding='center'`` and their last frame
dropped: ``T * hop`` samples have ``T`` frames. Computed in blocks, so memory does not grow with length.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.fft

from tinytimbre.features.frames import checked_audio, count_frames, hop_samples

FRAME_SIZE = 512
FLOOR_DB = -80.0
A_WEIGHTING_FLOOR_DB = -80.0
BLOCK_FRAMES = 2048


def loudness_db(audio: np.ndarray, *, sample_rate_hz: int, frame_rate_hz: float) -> np.ndarray:
    """Power per FFT bin weighted by A, averaged over the bins, in dB.

    Args:
        audio: float [n], in [-1, 1].
        sample_rate_hz: of ``audio``.
        frame_rate_hz: of the result; divides the sample rate.

    Returns:
        float32 [T], T = ceil(n / hop), at least -80; a sine of full scale at 1 kHz has about 20.
    """
    hop = hop_samples(sample_rate_hz=sample_rate_hz, frame_rate_hz=frame_rate_hz)
    return _framewise(checked_audio(audio), hop=hop, power=loudness_power(sample_rate_hz))


def rms_energy_db(audio: np.ndarray, *, sample_rate_hz: int, frame_rate_hz: float) -> np.ndarray:
    """Root mean square over 512 samples around each frame, in dB of full scale.

    Arguments and result as in `loudness_db`; the result is at most 0.
    """
    hop = hop_samples(sample_rate_hz=sample_rate_hz, frame_rate_hz=frame_rate_hz)
    return _framewise(checked_audio(audio), hop=hop, power=mean_square)


def a_weighting_db(frequency_hz: np.ndarray) -> np.ndarray:
    """A-weighting (IEC 61672-1, annex E) in dB, at least -80 (librosa's floor, which ddsp inherits)."""
    square = np.asarray(frequency_hz, np.float64) ** 2
    poles = np.array([12194.217, 20.598997, 107.65265, 737.86223]) ** 2
    with np.errstate(divide="ignore"):
        weight = 2.0 + 20.0 * (
            np.log10(poles[0])
            + 2.0 * np.log10(square)
            - np.log10(square + poles[0])
            - np.log10(square + poles[1])
            - 0.5 * np.log10(square + poles[2])
            - 0.5 * np.log10(square + poles[3])
        )
    return np.maximum(A_WEIGHTING_FLOOR_DB, weight)


def loudness_power(sample_rate_hz: int) -> Callable[[np.ndarray], np.ndarray]:
    """A function from frames [B, 512] to their A-weighted power per bin [B]."""
    # tf.signal.hann_window is periodic; scipy.signal would call it sym=False.
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FRAME_SIZE) / FRAME_SIZE)).astype(np.float32)
    weights = (10 ** (a_weighting_db(np.fft.rfftfreq(FRAME_SIZE, 1 / sample_rate_hz)) / 10)).astype(np.float32)

    def power(frames: np.ndarray) -> np.ndarray:
        spectrum = scipy.fft.rfft(frames * window, axis=-1)
        return (spectrum.real**2 + spectrum.imag**2) @ weights / np.float32(len(weights))

    return power


def mean_square(frames: np.ndarray) -> np.ndarray:
    """Mean power of frames [B, 512]: [B]."""
    return np.einsum("ij,ij->i", frames, frames) / np.float32(frames.shape[1])


def frame_levels_db(padded: np.ndarray, *, hop: int, power: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Levels in dB, at least -80, of every whole frame of 512 samples, one each ``hop``, float32 [B].

    ``padded`` begins half a frame before the centre of the first frame.
    """
    if len(padded) < FRAME_SIZE:
        return np.zeros(0, np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(padded, FRAME_SIZE)[::hop]
    levels = 10 * np.log10(np.maximum(10 ** (FLOOR_DB / 10), power(frames)))
    return np.maximum(levels, FLOOR_DB).astype(np.float32)


def _framewise(audio: np.ndarray, *, hop: int, power: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    n_frames = count_frames(len(audio), hop=hop)
    levels = [np.zeros(0, np.float32)]
    for first in range(0, n_frames, BLOCK_FRAMES):
        last = min(first + BLOCK_FRAMES, n_frames)
        block = _with_zeros(audio, first * hop - FRAME_SIZE // 2, (last - 1) * hop + FRAME_SIZE // 2)
        levels.append(frame_levels_db(block, hop=hop, power=power))
    return np.concatenate(levels)


def _with_zeros(audio: np.ndarray, start: int, end: int) -> np.ndarray:
    """``audio[start:end]`` with zeros wherever that reaches beyond the signal."""
    inside = audio[max(0, start) : max(0, end)]
    return np.pad(inside, (max(0, -start), max(0, end - max(start, 0) - len(inside))))
