"""From features to the two numbers a frame that a decoder sees.

The constants are ddsp's (`ddsp.training.preprocessing`: MIDI note / 127, dB / 80 + 1), so that models
and statistics can be compared with its own.
"""

from __future__ import annotations

import numpy as np

MIDI_RANGE = 127.0
DB_RANGE = 80.0


def hz_to_midi(f0_hz: np.ndarray | float) -> np.ndarray:
    """MIDI note numbers, fractional, float64 of the same shape; ``f0_hz`` must be > 0."""
    return 69.0 + 12.0 * np.log2(np.asarray(f0_hz, np.float64) / 440.0)


def midi_to_hz(midi: np.ndarray | float) -> np.ndarray:
    """Inverse of `hz_to_midi`, float64 of the same shape."""
    return 440.0 * 2.0 ** ((np.asarray(midi, np.float64) - 69.0) / 12.0)


def scale_inputs(f0_hz: np.ndarray, level_db: np.ndarray) -> np.ndarray:
    """Decoder inputs of ``T`` frames.

    Args:
        f0_hz: [T], > 0.
        level_db: [T], loudness or RMS energy in dB, >= -80.

    Returns:
        float32 [T, 2]: ``[:, 0] = midi(f0_hz) / 127``, ``[:, 1] = level_db / 80 + 1``.
    """
    scaled = (hz_to_midi(f0_hz) / MIDI_RANGE, np.asarray(level_db, np.float64) / DB_RANGE + 1.0)
    return np.stack(scaled, axis=-1).astype(np.float32)
