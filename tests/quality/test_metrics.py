"""Known answers, and agreement with librosa, scipy and mir_eval."""

from __future__ import annotations

import librosa
import mir_eval
import numpy as np
import pytest
import scipy.signal

from tinytimbre.errors import TinyTimbreError
from tinytimbre.features.loudness import loudness_db
from tinytimbre.quality import metrics

RATE = 16_000


def _tone(*, seconds: float = 1.0, hz: float = 330.0, seed: int = 0) -> np.ndarray:
    """Ten harmonics with vibrato and a little noise."""
    time = np.arange(round(seconds * RATE)) / RATE
    phase = 2 * np.pi * np.cumsum(hz * (1 + 0.005 * np.sin(2 * np.pi * 5 * time))) / RATE
    tone = sum(0.2 / k * np.sin(k * phase) for k in range(1, 11))
    return (tone + 0.003 * np.random.default_rng(seed).standard_normal(len(time))).astype(np.float32)


def _lowpass(audio: np.ndarray, hz: float) -> np.ndarray:
    return scipy.signal.sosfiltfilt(scipy.signal.butter(8, hz, fs=RATE, output="sos"), audio).astype(np.float32)


SPECTRAL = [metrics.log_spectral_db, metrics.mel_spectral_db]


@pytest.mark.parametrize("metric", SPECTRAL)
def test_identical_audio_has_no_distance(metric):
    assert metric(_tone(), _tone(), sample_rate_hz=RATE) == 0.0


@pytest.mark.parametrize("metric", SPECTRAL)
def test_one_db_louder_is_at_most_one_db_away(metric):
    # Exactly 1 dB wherever the reference is above the floor, less where the floor hides it.
    value = metric(_tone(), _tone() * np.float32(10 ** (1 / 20)), sample_rate_hz=RATE)
    assert 0.2 < value <= 1.0 + 1e-4


def test_one_db_louder_is_exactly_one_db_without_a_floor_in_the_way():
    # White noise: hardly a bin lies 60 dB below the peak.
    noise = (0.1 * np.random.default_rng(1).standard_normal(RATE)).astype(np.float32)
    value = metrics.log_spectral_db(noise, noise * np.float32(10 ** (1 / 20)), sample_rate_hz=RATE)
    assert value == pytest.approx(1.0, abs=2e-3)


@pytest.mark.parametrize("metric", SPECTRAL)
def test_lowpass_grows_with_what_it_removes(metric):
    values = [metric(_tone(), _lowpass(_tone(), hz), sample_rate_hz=RATE) for hz in (6000, 3000, 1000)]
    assert 0 < values[0] < values[1] < values[2]


@pytest.mark.parametrize("metric", SPECTRAL)
def test_the_floor_bounds_the_distance(metric):
    almost_silent = np.full(RATE, 0.0, np.float32)
    almost_silent[::2] = 2e-4
    assert 10 < metric(_tone(), almost_silent, sample_rate_hz=RATE) <= 60.0


def test_log_spectral_agrees_with_scipy():
    reference, audio = _tone(seed=1), _lowpass(_tone(seed=2), 2500)
    scales = []
    for size in metrics.FFT_SIZES:
        powers = []
        for sound in (reference, audio):
            window = scipy.signal.get_window("hann", size)
            transform = scipy.signal.ShortTimeFFT(window, size // 4, fs=RATE, fft_mode="onesided")
            # centred frames whose centre lies at 0, hop, 2 hop .. n
            powers.append(np.abs(transform.stft(sound, p0=0, p1=len(sound) // (size // 4) + 1)) ** 2)
        peak = powers[0].max()
        db = [10 * np.log10(np.maximum(power, peak * 1e-6)) for power in powers]
        scales.append(np.mean(np.abs(db[0] - db[1])))
    # float32 against float64
    assert metrics.log_spectral_db(reference, audio, sample_rate_hz=RATE) == pytest.approx(np.mean(scales), rel=1e-4)


def test_mel_spectral_agrees_with_librosa():
    reference, audio = _tone(seed=1), _lowpass(_tone(seed=2), 2500)
    mels = [
        librosa.feature.melspectrogram(
            y=sound, sr=RATE, n_fft=1024, hop_length=256, n_mels=80, fmin=30.0, pad_mode="constant"
        )
        for sound in (reference, audio)
    ]
    peak = mels[0].max()
    db = [librosa.power_to_db(mel, ref=peak, amin=peak * 1e-6, top_db=None) for mel in mels]
    # amin is absolute in librosa; relative to the peak it is the floor.
    expected = np.mean(np.sqrt(np.mean((db[0] - db[1]) ** 2, axis=0)))
    assert metrics.mel_spectral_db(reference, audio, sample_rate_hz=RATE) == pytest.approx(expected, rel=1e-4)


def test_loudness_of_one_db_more_is_one_db():
    curves = [loudness_db(_tone() * np.float32(gain), sample_rate_hz=RATE, frame_rate_hz=50) for gain in (1, 10**0.05)]
    assert metrics.loudness_error_db(*curves) == pytest.approx(1.0, abs=1e-3)


def test_silence_below_the_floor_is_no_error_of_loudness():
    note, pause, silence = np.full(80, 10.0), np.full(20, -52.0), np.full(20, -100.0)
    assert metrics.loudness_error_db(np.append(note, pause), np.append(note, silence)) == 0
    # Above it, all of the difference counts: 40 dB in a fifth of the frames.
    assert metrics.loudness_error_db(np.append(note, pause + 42), np.append(note, silence)) == pytest.approx(8)


def test_loudness_agrees_with_librosa():
    sounds = [_tone(seed=1), _lowpass(_tone(seed=2), 1000)]
    weighting = 10 ** (librosa.A_weighting(librosa.fft_frequencies(sr=RATE, n_fft=512)) / 10)
    expected = []
    for sound in sounds:
        power = np.abs(librosa.stft(sound, n_fft=512, hop_length=320, pad_mode="constant")) ** 2
        expected.append(10 * np.log10(np.maximum(1e-8, (power * weighting[:, None]).mean(axis=0))))
    difference = np.abs(expected[0] - expected[1])[:50].mean()
    ours = metrics.loudness_error_db(*(loudness_db(s, sample_rate_hz=RATE, frame_rate_hz=50) for s in sounds))
    assert ours == pytest.approx(difference, rel=1e-3)


@pytest.mark.parametrize(("cents", "accuracy"), [(0, 100), (10, 100), (-49, 100), (51, 0), (1200, 0)])
def test_pitch_shift_is_told_in_cents(cents, accuracy):
    f0_hz = np.linspace(200, 400, 50)
    found = metrics.f0_metrics(f0_hz, f0_hz * 2 ** (cents / 1200), confident=np.ones(50, bool))
    assert found.accuracy_points == accuracy
    assert found.median_cents == pytest.approx(abs(cents), abs=1e-6)
    assert found.n_frames == 50


def test_pitch_agrees_with_mir_eval():
    generator = np.random.default_rng(3)
    reference = generator.uniform(100, 800, 300)
    estimate = reference * 2 ** (generator.normal(0, 60, 300) / 1200)
    confident = generator.random(300) > 0.3
    accuracy = mir_eval.melody.raw_pitch_accuracy(
        confident.astype(float),
        mir_eval.melody.hz2cents(reference),
        np.ones(300),
        mir_eval.melody.hz2cents(estimate),
        cent_tolerance=50,
    )
    found = metrics.f0_metrics(reference, estimate, confident=confident)
    assert found.accuracy_points == pytest.approx(100 * accuracy, abs=1e-9)
    cents = np.abs(mir_eval.melody.hz2cents(reference) - mir_eval.melody.hz2cents(estimate))[confident]
    assert found.median_cents == pytest.approx(np.median(cents), abs=1e-6)


def test_pitch_without_confident_frames_is_nan():
    found = metrics.f0_metrics(np.ones(9), np.ones(9), confident=np.zeros(9, bool))
    assert np.isnan(found.accuracy_points)
    assert np.isnan(found.median_cents)
    assert found.n_frames == 0


def test_unvoiced_estimate_is_a_miss():
    found = metrics.f0_metrics(np.full(4, 100.0), np.array([100.0, 0, 100, 0]), confident=np.ones(4, bool))
    assert found.accuracy_points == 50.0


@pytest.mark.parametrize("metric", SPECTRAL)
@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (np.zeros(RATE, np.float32), "silent"),
        (_tone()[:500], "one length"),
        (np.where(np.arange(RATE) == 7, np.nan, _tone()), "NaN"),
        (np.stack([_tone(), _tone()]), "one dimension"),
    ],
)
def test_unsuitable_audio_is_named(metric, broken, said):
    with pytest.raises(TinyTimbreError, match=said):
        metric(_tone(), broken, sample_rate_hz=RATE)


@pytest.mark.parametrize("metric", SPECTRAL)
def test_one_frame_is_too_short(metric):
    with pytest.raises(TinyTimbreError, match="at least 2048"):
        metric(_tone()[:320], _tone()[:320], sample_rate_hz=RATE)


@pytest.mark.parametrize("metric", SPECTRAL)
def test_silent_reference_is_named(metric):
    with pytest.raises(TinyTimbreError, match="reference is silent"):
        metric(np.zeros(RATE), _tone(), sample_rate_hz=RATE)


@pytest.mark.parametrize(
    ("ours", "theirs", "said"),
    [([1.0], [1.0], "at least 2"), ([1, 2], [1, 2, 3], "one length"), ([1, np.nan], [1, 2], "NaN")],
)
def test_unsuitable_curves_are_named(ours, theirs, said):
    with pytest.raises(TinyTimbreError, match=said):
        metrics.loudness_error_db(np.array(ours, float), np.array(theirs, float))
    with pytest.raises(TinyTimbreError, match=said):
        metrics.f0_metrics(np.array(ours, float), np.array(theirs, float), confident=np.ones(len(theirs), bool))
