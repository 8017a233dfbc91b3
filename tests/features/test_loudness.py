"""Loudness and energy against the real ddsp, and against what physics says."""

from __future__ import annotations

import numpy as np
import pytest

from tinytimbre.features import loudness
from tinytimbre.features.loudness import loudness_db, rms_energy_db

RATE = 16_000


def music(n_samples: int) -> np.ndarray:
    """Decaying tones over noise, with a stretch of digital silence."""
    rng = np.random.default_rng(3)
    seconds = np.arange(n_samples) / RATE
    tones = sum(np.sin(2 * np.pi * hz * seconds) for hz in (110.0, 997.0, 3100.0)) / 6
    audio = tones * np.exp(-2 * (seconds % 0.7)) + 0.003 * rng.standard_normal(n_samples)
    audio[n_samples // 3 : n_samples // 2] = 0.0
    return audio.astype(np.float32)


@pytest.mark.parametrize("frame_rate_hz", [50, 125, 250])
def test_parity_with_ddsp(frame_rate_hz: int) -> None:
    from tinytimbre.ddsp_door import import_ddsp

    ddsp = import_ddsp()
    audio = music(2 * RATE)
    rates = {"sample_rate": RATE, "frame_rate": frame_rate_hz, "padding": "center"}
    ours = {"sample_rate_hz": RATE, "frame_rate_hz": frame_rate_hz}
    reference = ddsp.spectral_ops.compute_loudness(audio, n_fft=512, **rates).numpy()[:-1]
    # float32 on both sides with sums in another order; near the floor of -80 dB that is some 1e-4 dB.
    np.testing.assert_allclose(loudness_db(audio, **ours), reference, atol=1e-3)
    reference = ddsp.spectral_ops.compute_power(audio, frame_size=512, **rates).numpy()[:-1]
    np.testing.assert_allclose(rms_energy_db(audio, **ours), reference, atol=1e-3)


def test_a_weighting_matches_librosa() -> None:
    import librosa

    frequencies = np.fft.rfftfreq(512, 1 / RATE)
    expected = librosa.A_weighting(frequencies)
    np.testing.assert_allclose(loudness.a_weighting_db(frequencies), expected, atol=1e-9)


def test_energy_of_a_sine() -> None:
    sine = 0.3 * np.sin(2 * np.pi * 500 * np.arange(RATE) / RATE)
    energy = rms_energy_db(sine, sample_rate_hz=RATE, frame_rate_hz=50)
    # 20 log10(0.3 / sqrt 2); 512 samples hold 16 whole periods, so there is no ripple.
    np.testing.assert_allclose(energy[1:-1], -13.468, atol=1e-3)


def test_silence_is_at_the_floor() -> None:
    for level in (loudness_db, rms_energy_db):
        np.testing.assert_array_equal(level(np.zeros(RATE), sample_rate_hz=RATE, frame_rate_hz=50), -80.0)


@pytest.mark.parametrize("n_samples", [0, 1, 319, 320, 321, 2000])
def test_frames_cover_the_audio(n_samples: int) -> None:
    level = loudness_db(np.ones(n_samples), sample_rate_hz=RATE, frame_rate_hz=50)
    assert level.shape == (-(-n_samples // 320),)
    assert level.dtype == np.float32


def test_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    audio = music(RATE)
    whole = loudness_db(audio, sample_rate_hz=RATE, frame_rate_hz=50)
    monkeypatch.setattr(loudness, "BLOCK_FRAMES", 7)
    # Not bitwise: the matrix product may sum in another order for another number of rows.
    np.testing.assert_allclose(loudness_db(audio, sample_rate_hz=RATE, frame_rate_hz=50), whole, atol=1e-4)
