"""The instrument without a model: a sawtooth through the average spectrum of its recordings.

    envelope = spectral_envelope(train_takes, sample_rate_hz=16_000)
    audio = filtered_sawtooth(take, envelope, sample_rate_hz=16_000)

Linear prediction keeps one timbre for all pitches and levels. A model that is no nearer to the recordings than this has
learned nothing that a filter does not know, whatever its margins to other models.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import scipy.signal

from tinytimbre.errors import TinyTimbreError
from tinytimbre.features.examples import TakeFeatures
from tinytimbre.features.loudness import rms_energy_db
from tinytimbre.features.statistics import is_played
from tinytimbre.synthesis.oscillators import accumulate_cycles, upsample_f0

BASELINE = "filtered sawtooth"
"""Stands as candidate_id in the table of clips; no exported model has a space in its name."""

EXTRA_POLES = 8  # beside one per kHz of the sample rate, the rule of thumb of Markel & Gray 1976, section 6.5
MAX_GAIN_DB = 60.0


def spectral_envelope(takes: Iterable[TakeFeatures], *, sample_rate_hz: int) -> np.ndarray:
    """The all-pole filter of an instrument, float64 [25] at 16 kHz: coefficients of 1 / A(z), the first is 1.

    Burg's method (``librosa.lpc``) on all played frames of the training takes, whitened by a sawtooth's fall of 6 dB
    an octave beforehand, so that filter and sawtooth together have the spectrum of the instrument.

    Raises:
        TinyTimbreError: not one played frame.
    """
    import librosa

    sounds = [_played_audio(take) for take in takes]
    audio = np.concatenate([np.zeros(0, np.float32), *sounds]).astype(np.float64)
    order = sample_rate_hz // 1000 + EXTRA_POLES
    if len(audio) <= order + 1:
        raise TinyTimbreError("a baseline needs played frames in the training takes", got=f"{len(audio)} samples")
    # A sawtooth's harmonics fall as 1 / k, a first-order difference undoes that.
    return np.asarray(librosa.lpc(np.diff(audio), order=order))


def filtered_sawtooth(take: TakeFeatures, envelope: np.ndarray, *, sample_rate_hz: int) -> np.ndarray:
    """A rendering of a take, float32 [T * hop]: its pitch and its level, the envelope's timbre.

    The sawtooth is a sum of sines below half the sample rate. The level follows the take's RMS energy frame by frame.

    Args:
        take: pitch and level to follow.
        envelope: from `spectral_envelope`.
        sample_rate_hz: of the take.
    """
    f0_hz = upsample_f0(take.f0_hz, hop=take.hop)
    saw = _sawtooth(f0_hz, sample_rate_hz=sample_rate_hz)
    shaped = scipy.signal.lfilter([1.0], envelope, saw)
    own_db = rms_energy_db(shaped, sample_rate_hz=sample_rate_hz, frame_rate_hz=sample_rate_hz / take.hop)
    gain_db = np.clip(take.rms_energy_db - own_db, -np.inf, MAX_GAIN_DB)
    gain = np.interp(np.arange(len(shaped)), np.arange(len(gain_db)) * take.hop, 10 ** (gain_db / 20))
    return (gain * shaped).astype(np.float32)


def _played_audio(take: TakeFeatures) -> np.ndarray:
    played = np.repeat(is_played(take.f0_confidence, take.rms_energy_db), take.hop)
    return take.audio[played]


def _sawtooth(f0_hz: np.ndarray, *, sample_rate_hz: int) -> np.ndarray:
    """Float64 [n]: ``sum sin(2 pi k phase) / k`` over the harmonics below half the sample rate."""
    phase = 2 * np.pi * accumulate_cycles(f0_hz, sample_rate_hz=sample_rate_hz)
    saw = np.zeros(len(f0_hz))
    for harmonic in range(1, int(0.5 * sample_rate_hz / f0_hz.min()) + 1):
        audible = f0_hz < 0.5 * sample_rate_hz / harmonic
        saw[audible] += np.sin(harmonic * phase[audible]) / harmonic
    return saw
