"""The frame grid that every feature shares: frame ``i`` is centred at sample ``i * hop``."""

from __future__ import annotations

import numpy as np

from tinytimbre.errors import TinyTimbreError


def hop_samples(*, sample_rate_hz: int, frame_rate_hz: float) -> int:
    """Samples per frame.

    Raises:
        TinyTimbreError: the sample rate is no whole multiple of the frame rate.
    """
    hop = sample_rate_hz / frame_rate_hz
    if abs(hop - round(hop)) > 1e-9 or hop < 1:
        raise TinyTimbreError(
            "the sample rate must be a whole multiple of the frame rate",
            got=f"{sample_rate_hz} / {frame_rate_hz:g} = {hop:g} samples",
            remedy="change features.frame_rate_hz or audio.sample_rate_hz",
        )
    return round(hop)


def count_frames(n_samples: int, *, hop: int) -> int:
    """Frames that cover ``n_samples``: the last one may be partly beyond the end."""
    return -(-n_samples // hop)


def whole_frames(audio: np.ndarray, *, hop: int) -> np.ndarray:
    """``audio`` [n] as float32, zero-padded by less than ``hop`` samples to [T*hop]."""
    missing = count_frames(len(audio), hop=hop) * hop - len(audio)
    return np.pad(np.asarray(audio, np.float32), (0, missing))


def checked_audio(audio: np.ndarray) -> np.ndarray:
    """``audio`` as float32 [n].

    Raises:
        TinyTimbreError: not one-dimensional, or with a sample that is NaN or infinite.
    """
    audio = np.asarray(audio, np.float32)
    if audio.ndim != 1:
        raise TinyTimbreError("audio must be mono, one dimension", got=f"an array of shape {audio.shape}")
    if not np.isfinite(audio).all():
        raise TinyTimbreError(
            "every sample must be a finite number", got="NaN or infinite samples", remedy="decode the recording again"
        )
    return audio
