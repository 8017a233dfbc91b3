from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import scipy.signal

from tinytimbre.errors import TinyTimbreError
from tinytimbre.features.examples import TakeFeatures
from tinytimbre.features.loudness import loudness_db, rms_energy_db
from tinytimbre.features.pitch import track_pitch
from tinytimbre.quality.baseline import filtered_sawtooth, spectral_envelope
from tinytimbre.quality.evaluate import evaluate_take

RATE, RATES = 16_000, {"sample_rate_hz": 16_000, "frame_rate_hz": 50.0}
RESONANCE_HZ = 1_200.0


def played(hz: float, *, seconds: float = 2.0) -> np.ndarray:
    """SciPy's sawtooth, oversampled, through one resonance, swelling."""
    time = np.arange(round(seconds * 8 * RATE)) / (8 * RATE)
    saw = scipy.signal.resample_poly(scipy.signal.sawtooth(2 * np.pi * hz * time), 1, 8)
    radius, angle = 0.97, 2 * np.pi * RESONANCE_HZ / RATE
    sound = scipy.signal.lfilter([1.0], [1, -2 * radius * np.cos(angle), radius**2], saw)
    swell = 0.5 + 0.4 * np.sin(2 * np.pi * np.arange(len(sound)) / RATE)
    return (0.4 * swell * sound / np.abs(sound).max()).astype(np.float32)


def take(audio: np.ndarray) -> TakeFeatures:
    f0_hz, confidence = track_pitch(audio, **RATES)
    levels = {"loudness_db": loudness_db(audio, **RATES), "rms_energy_db": rms_energy_db(audio, **RATES)}
    return TakeFeatures("r", "t", "saw", audio, f0_hz, confidence, **levels)


def test_the_envelope_is_that_of_the_filter() -> None:
    envelope = spectral_envelope([take(played(110)), take(played(146))], sample_rate_hz=RATE)
    hz, response = scipy.signal.freqz([1.0], envelope, fs=RATE, worN=4096)
    assert len(envelope) == 25
    # Prediction follows the harmonics, which are 110 and 146 Hz apart.
    assert hz[np.argmax(np.abs(response))] == pytest.approx(RESONANCE_HZ, abs=80)


def test_it_plays_a_sawtooth_instrument_well_and_another_one_not() -> None:
    """It is a fair opponent: what is a filtered sawtooth it gets right, at pitches that it has not heard."""
    envelope = spectral_envelope([take(played(hz)) for hz in (110, 146, 196)], sample_rate_hz=RATE)
    heard = take(played(165))
    sound = filtered_sawtooth(heard, envelope, sample_rate_hz=RATE)
    assert sound.dtype == np.float32
    assert len(sound) == len(heard.audio)
    own = evaluate_take(heard, sound, **RATES, tracker="swift_f0")
    assert own["f0_accuracy_points"] > 95
    assert own["f0_cents"] < 10
    assert own["loudness_db"] < 2
    hollow = take(np.sin(2 * np.pi * 165 * np.arange(2 * RATE) / RATE).astype(np.float32) * 0.3)
    sound = filtered_sawtooth(hollow, envelope, sample_rate_hz=RATE)
    other = evaluate_take(hollow, sound, **RATES, tracker="swift_f0")
    assert other["log_spectral_db"] > 2 * own["log_spectral_db"]


def test_nothing_played_has_no_envelope() -> None:
    silent = dataclasses.replace(take(played(110)), f0_confidence=np.zeros(100, np.float32))
    with pytest.raises(TinyTimbreError, match="played frames"):
        spectral_envelope([silent], sample_rate_hz=RATE)


def test_silence_stays_quiet() -> None:
    audio = played(110)
    audio[RATE:] = 0
    sound = filtered_sawtooth(take(audio), spectral_envelope([take(audio)], sample_rate_hz=RATE), sample_rate_hz=RATE)
    assert np.abs(sound[RATE + 3200 :]).max() < 1e-3
