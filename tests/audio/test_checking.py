from __future__ import annotations

import numpy as np
import pytest
from made_notes import make_note
from scipy.signal import butter, sosfilt

from tinytimbre.audio.checking import (
    check_polyphony,
    check_recording,
    check_seconds,
    clipped_share,
    frame_levels_db,
    inharmonic_share,
    voiced_share,
)
from tinytimbre.audio.reading import Decoded, to_mono
from tinytimbre.config import AudioConfig, SweepConfig
from tinytimbre.features.pitch import track_pitch

CONFIG = SweepConfig.model_validate({"name": "test", "search": {"space": {"width": [8]}}})


def tracked(audio):
    return track_pitch(audio, sample_rate_hz=16_000, frame_rate_hz=50.0, tracker="swift_f0")


def kinds(samples, sample_rate_hz=16_000):
    decoded = Decoded(np.atleast_2d(samples).astype(np.float32), sample_rate_hz)
    audio = to_mono(decoded, sample_rate_hz=16_000)
    f0_hz, confidence = tracked(audio)
    return [p.kind for p in check_recording(decoded, audio, f0_hz=f0_hz, confidence=confidence, config=CONFIG)]


@pytest.mark.parametrize("f0_hz", [80.0, 262.0, 740.0, 1500.0])
def test_a_note_passes(f0_hz):
    assert kinds(make_note(f0_hz, seed=1)) == []


def test_a_quiet_note_passes():
    assert kinds(0.03 * make_note(300, seed=1)) == []


def test_sparse_notes_pass():
    """Eight seconds, 75 % of them silent."""
    audio = np.zeros(128_000, np.float32)
    for start in (10_000, 90_000):
        audio[start : start + 16_000] = make_note(330, seed=2, seconds=1.0)
    assert kinds(audio) == []


def test_silence_noise_and_noise_like_speech():
    rng = np.random.default_rng(0)
    noise = rng.normal(size=48_000)
    band = sosfilt(butter(2, [300, 3000], "band", fs=16_000, output="sos"), noise)
    syllables = 0.5 + 0.5 * np.sin(2 * np.pi * 4 * np.arange(48_000) / 16_000)
    assert kinds(np.zeros(48_000)) == ["silent"]
    assert kinds(1e-4 * noise) == ["silent"]
    assert kinds(0.1 * noise) == ["unvoiced"]
    assert kinds(0.2 * band * syllables) == ["unvoiced"]


def test_a_chord_is_polyphonic():
    chord = sum(make_note(f0_hz, seed=i) for i, f0_hz in enumerate((233.1, 311.1, 415.3)))
    assert "polyphonic" in kinds(0.3 * chord)


def test_inharmonic_share_is_the_energy_of_the_other_tone():
    """Two sines that share no multiple: the share is the second one's part of the power."""
    time = np.arange(48_000) / 16_000
    audio = (0.3 * np.sin(2 * np.pi * 300 * time) + 0.1 * np.sin(2 * np.pi * 415 * time)).astype(np.float32)
    share = inharmonic_share(audio, f0_hz=np.full(150, 300.0), confidence=np.ones(150), hop=320, sample_rate_hz=16_000)
    assert share == pytest.approx(0.1, abs=0.005)  # 0.01 / (0.09 + 0.01); the edges are half empty frames
    assert check_polyphony(share, config=AudioConfig()) is None
    assert check_polyphony(0.5, config=AudioConfig()) is not None


def test_an_octave_error_is_not_polyphonic():
    audio = make_note(200, seed=3)
    share = inharmonic_share(audio, f0_hz=np.full(150, 400.0), confidence=np.ones(150), hop=320, sample_rate_hz=16_000)
    assert share < 0.02


def test_too_short():
    assert "too-short" in kinds(make_note(300, seed=1, seconds=0.3))
    assert check_seconds(CONFIG.audio.min_secs, config=CONFIG.audio) is None


@pytest.mark.parametrize("gain", [1.0, 0.2])
def test_clipping_is_found_also_when_turned_down_later(gain):
    clipped = gain * np.clip(4 * make_note(220, seed=1), -1, 1)
    assert clipped_share(clipped[None]) > 0.1
    assert "clipped" in kinds(clipped)


def test_share_counts_exactly_the_flat_samples():
    time = np.arange(48_000) / 48_000
    clipped = np.clip(1.5 * np.sin(2 * np.pi * 150 * time), -1, 1).astype(np.float32)
    assert clipped_share(clipped[None]) == pytest.approx(np.mean(np.abs(clipped) == 1), abs=1e-4)


@pytest.mark.parametrize("bits", [8, 16, 24])
def test_a_loud_low_sine_is_not_clipped(bits):
    """Few bits flatten its peaks to equal samples: quantisation, not clipping."""
    time = np.arange(96_000) / 48_000
    steps = 2 ** (bits - 1) - 1
    sine = np.round(np.sin(2 * np.pi * 65.4 * time) * steps) / steps
    assert clipped_share(sine[None]) == 0


def test_one_loud_peak_is_not_clipping():
    audio = 0.2 * make_note(220, seed=1)
    audio[5_000] = 1.0
    assert clipped_share(audio[None]) == 0


def test_levels_are_centred_rms():
    audio = np.zeros(16_000, np.float32)
    audio[8_000:] = 0.5
    levels = frame_levels_db(audio, hop=320, n_frames=50)
    assert levels[10] == pytest.approx(-120)
    assert levels[35] == pytest.approx(20 * np.log10(0.5), abs=1e-6)
    assert levels[25] == pytest.approx(20 * np.log10(0.5) - 10 * np.log10(2), abs=1e-6)


def test_voiced_share_ignores_pauses():
    levels = np.array([-10.0, -80, -80, -20, -80, -12])
    assert voiced_share(levels, np.array([1.0, 0, 0, 0.9, 0, 0])) == pytest.approx(2 / 3)
    assert voiced_share(np.full(4, -90.0), np.ones(4)) == 0
