"""What every metric says of changes whose answer is known: nothing, +1 dB, +10 cents, a low-pass, a delay, silence."""

from __future__ import annotations

from collections.abc import Callable

import librosa
import numpy as np
import pytest
import scipy.signal

from tinytimbre.errors import TinyTimbreError
from tinytimbre.features.loudness import loudness_db
from tinytimbre.features.pitch import track_pitch
from tinytimbre.quality import metrics
from tinytimbre.quality.visqol import visqol_mos

RATE, FRAMES_HZ = 16_000, 50.0


def tone(*, hz: float = 330.0, shift_secs: float = 0.0) -> np.ndarray:
    """Two seconds: twelve harmonics with vibrato of 54 cents and swells; noise 30 dB below, which stays where it is."""
    time = np.arange(2 * RATE) / RATE - shift_secs
    phase = 2 * np.pi * hz * (time - 0.001 * np.cos(2 * np.pi * 5 * time))
    swell = 0.6 + 0.4 * np.sin(2 * np.pi * 2 * time)
    noise = np.random.default_rng(0).standard_normal(len(time))
    return (0.15 * swell * sum(np.sin(k * phase) / k for k in range(1, 13)) + 0.005 * noise).astype(np.float32)


def loudness(reference: np.ndarray, audio: np.ndarray) -> float:
    curves = (loudness_db(x, sample_rate_hz=RATE, frame_rate_hz=FRAMES_HZ) for x in (reference, audio))
    return metrics.loudness_error_db(*curves)


def cents(reference: np.ndarray, audio: np.ndarray) -> float:
    curves = [track_pitch(x, sample_rate_hz=RATE, frame_rate_hz=FRAMES_HZ) for x in (reference, audio)]
    return metrics.f0_metrics(curves[0][0], curves[1][0], confident=curves[0][1] > 0.5).median_cents


def spectral(function: Callable[..., float]) -> Callable[[np.ndarray, np.ndarray], float]:
    return lambda reference, audio: function(reference, audio, sample_rate_hz=RATE)


MEASURES = {
    "log": spectral(metrics.log_spectral_db),
    "mel": spectral(metrics.mel_spectral_db),
    "mfcc": spectral(metrics.mfcc_db),
    "loudness": loudness,
    "cents": cents,
    "visqol": lambda reference, audio: 5 - visqol_mos(reference, audio, sample_rate_hz=RATE),
}
CHANGES = {
    "nothing": tone(),
    "one dB louder": tone() * np.float32(10 ** (1 / 20)),
    "ten cents sharp": tone(hz=330 * 2 ** (10 / 1200)),
    "low-pass at 1 kHz": scipy.signal.sosfiltfilt(scipy.signal.butter(8, 1000, fs=RATE, output="sos"), tone()).astype(
        np.float32
    ),
    "ten ms later": tone(shift_secs=0.01),
}
# Lower and upper end of what each may say. 0 is exact; the others follow from the change where it is plain (1 dB is
# 1 dB except below a floor; 10 cents are 10 cents within the tracker's 5; 10 ms of a vibrato of 54 cents at 5 Hz are 17
# cents times |cos|, whose median is 12), else they say "hardly" and "clearly". ViSQOL is 5 minus its score, which is
# 4.73 for identical sounds; a delay or 1 dB is nothing to it.
NOTHING, LOUDER, SHARP, LATER = "nothing", "one dB louder", "ten cents sharp", "ten ms later"
EXPECTED = {
    "log": {NOTHING: (0, 0), LOUDER: (0.5, 1), SHARP: (0.05, 2), LATER: (0.1, 3)},
    "mel": {NOTHING: (0, 0), LOUDER: (0.5, 1), SHARP: (0.05, 2), LATER: (0.1, 3)},
    "mfcc": {NOTHING: (0, 0), LOUDER: (0, 0.2), SHARP: (0.02, 1), LATER: (0.05, 2)},
    "loudness": {NOTHING: (0, 0), LOUDER: (0.999, 1.001), SHARP: (0, 0.2), LATER: (0.05, 2)},
    "cents": {NOTHING: (0, 0), LOUDER: (0, 1), SHARP: (5, 15), LATER: (8, 16)},
    "visqol": {NOTHING: (0.2, 0.3), LOUDER: (0.2, 0.35), SHARP: (0.2, 1.5), LATER: (0.2, 0.5)},
}
LOW_PASSED = {"log": 5.0, "mel": 8.0, "mfcc": 4.0, "loudness": 0.5, "visqol": 1.0}
"""What a low-pass costs at least: most of the spectrum is gone, the pitch is not."""


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("change", [name for name in CHANGES if "low-pass" not in name])
def test_known_answer(measure: str, change: str) -> None:
    low, high = EXPECTED[measure][change]
    assert low <= MEASURES[measure](CHANGES["nothing"], CHANGES[change]) <= high


@pytest.mark.parametrize("measure", LOW_PASSED)
def test_a_low_pass_is_heard(measure: str) -> None:
    assert MEASURES[measure](CHANGES["nothing"], CHANGES["low-pass at 1 kHz"]) > LOW_PASSED[measure]


def test_a_low_pass_leaves_the_pitch() -> None:
    assert cents(CHANGES["nothing"], CHANGES["low-pass at 1 kHz"]) < 10


@pytest.mark.parametrize("measure", ["log", "mel", "mfcc", "visqol"])
@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (np.zeros(2 * RATE, np.float32), "silent"),
        (tone()[:320], "one length"),
        (np.full(2 * RATE, np.nan, np.float32), "NaN"),
    ],
)
def test_unsuitable_audio_is_named(measure: str, broken: np.ndarray, said: str) -> None:
    with pytest.raises(TinyTimbreError, match=said):
        MEASURES[measure](tone(), broken)
    with pytest.raises(TinyTimbreError, match=said):
        MEASURES[measure](broken, tone())


@pytest.mark.parametrize(("measure", "said"), [("log", "2048"), ("mel", "2048"), ("mfcc", "2048"), ("visqol", "2048")])
def test_one_frame_is_named(measure: str, said: str) -> None:
    with pytest.raises(TinyTimbreError, match=said):
        MEASURES[measure](tone()[:320], tone()[:320])


def test_half_a_second_is_too_little_for_visqol() -> None:
    with pytest.raises(TinyTimbreError, match="at least 1 s"):
        visqol_mos(tone()[: RATE // 2], tone()[: RATE // 2], sample_rate_hz=RATE)


def test_visqol_falls_with_noise() -> None:
    noise = np.random.default_rng(1).standard_normal(2 * RATE).astype(np.float32)
    scores = [visqol_mos(tone(), tone() + level * noise, sample_rate_hz=RATE) for level in (0.0, 0.005, 0.05)]
    assert scores[0] > scores[1] > scores[2] >= 1.0


def test_mfcc_agrees_with_librosa() -> None:
    sounds = (tone(), CHANGES["low-pass at 1 kHz"])
    mels = [
        librosa.feature.melspectrogram(
            y=sound, sr=RATE, n_fft=1024, hop_length=256, n_mels=80, fmin=30.0, pad_mode="constant"
        )
        for sound in sounds
    ]
    # The floor, which librosa takes absolutely, lies 60 dB below the reference's peak.
    db = [librosa.power_to_db(mel, ref=1.0, amin=mels[0].max() * 1e-6, top_db=None) for mel in mels]
    cepstra = [librosa.feature.mfcc(S=one, n_mfcc=13)[1:] for one in db]
    expected = np.mean(np.linalg.norm(cepstra[0] - cepstra[1], axis=0)) / np.sqrt(80)
    # float32 against librosa's mixture of float32 and float64
    assert metrics.mfcc_db(*sounds, sample_rate_hz=RATE) == pytest.approx(expected, rel=1e-4)
