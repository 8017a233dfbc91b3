from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tinytimbre.errors import TinyTimbreError
from tinytimbre.features.examples import TakeFeatures
from tinytimbre.features.loudness import loudness_db, rms_energy_db
from tinytimbre.features.pitch import track_pitch
from tinytimbre.quality.evaluate import evaluate_take

RATE, FRAMES_HZ = 16_000, 50.0
RATES = {"sample_rate_hz": RATE, "frame_rate_hz": FRAMES_HZ}


def _tone(hz: float, *, seconds: float = 2.0) -> np.ndarray:
    phase = 2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE
    return sum(0.2 / k * np.sin(k * phase) for k in range(1, 9)).astype(np.float32)


def _take(audio: np.ndarray) -> TakeFeatures:
    f0_hz, confidence = track_pitch(audio, **RATES)
    return TakeFeatures(
        recording_id="r1",
        take_id="r1",
        instrument="flute",
        audio=audio,
        f0_hz=f0_hz,
        f0_confidence=confidence,
        loudness_db=loudness_db(audio, **RATES),
        rms_energy_db=rms_energy_db(audio, **RATES),
    )


def test_itself():
    take = _take(_tone(330))
    values = evaluate_take(take, take.audio, **RATES, tracker="swift_f0")
    assert values == {
        "log_spectral_db": 0,
        "mel_spectral_db": 0,
        "mfcc_db": 0,
        "loudness_db": 0,
        "f0_accuracy_points": 100,
        "f0_cents": 0,
    }


def test_ten_cents_sharp():
    values = evaluate_take(_take(_tone(330)), _tone(330 * 2 ** (10 / 1200)), **RATES, tracker="swift_f0")
    assert values["f0_accuracy_points"] == 100
    # SwiftF0's regression is good to a few cents on steady tones; a difference of two of its answers.
    assert values["f0_cents"] == pytest.approx(10, abs=5)
    assert values["loudness_db"] < 0.5


def test_an_octave_up_misses_every_frame():
    values = evaluate_take(_take(_tone(330)), _tone(660), **RATES, tracker="swift_f0")
    assert values["f0_accuracy_points"] < 5
    assert values["f0_cents"] == pytest.approx(1200, abs=20)


def test_no_confident_frame_leaves_pitch_out():
    take = dataclasses.replace(_take(_tone(330)), f0_confidence=np.zeros(100, np.float32))
    values = evaluate_take(take, take.audio, **RATES, tracker="swift_f0")
    assert np.isnan(values["f0_accuracy_points"])
    assert np.isnan(values["f0_cents"])
    assert values["log_spectral_db"] == 0


@pytest.mark.parametrize(
    ("audio", "said"),
    [
        (np.zeros(2 * RATE), "silent"),
        (np.full(2 * RATE, np.nan), "NaN"),
        (_tone(330, seconds=1.0), "one length"),
    ],
)
def test_unsuitable_rendering_names_the_recording(audio, said):
    with pytest.raises(TinyTimbreError, match=f"(?s){said}") as caught:
        evaluate_take(_take(_tone(330)), audio, **RATES, tracker="swift_f0")
    assert "r1" in str(caught.value)
