"""One conformance suite for every tracker, against tones whose pitch is known by construction."""

from __future__ import annotations

import numpy as np
import pytest

from tinytimbre.errors import TinyTimbreError
from tinytimbre.features import pitch
from tinytimbre.features.pitch import DEFAULT_F0_HZ, TRACKERS, mend_octave_slips, track_pitch

RATE = 16_000
FRAMES = 50
HOP = RATE // FRAMES

trackers = pytest.mark.parametrize("tracker", sorted(TRACKERS))


def harmonic(f0_hz: np.ndarray, *, peak: float = 0.3, slope: float = 1.0) -> np.ndarray:
    """A tone of 20 harmonics falling as 1/k**slope, band-limited, with the given pitch at every sample."""
    cycles = np.cumsum(f0_hz) / RATE
    tone = sum(np.where(k * f0_hz < 7800, np.sin(2 * np.pi * k * cycles) / k**slope, 0.0) for k in range(1, 21))
    return (peak * tone / np.abs(tone).max()).astype(np.float32)


def steady(f0_hz: float, *, secs: float = 1.5, **kwargs: float) -> np.ndarray:
    return harmonic(np.full(round(secs * RATE), f0_hz), **kwargs)


def track(audio: np.ndarray, tracker: str, *, sample_rate_hz: int = RATE) -> tuple[np.ndarray, np.ndarray]:
    return track_pitch(audio, sample_rate_hz=sample_rate_hz, frame_rate_hz=FRAMES, tracker=tracker)


def cents(f0_hz: np.ndarray, truth_hz: np.ndarray | float) -> np.ndarray:
    return 1200 * np.log2(f0_hz / truth_hz)


@trackers
@pytest.mark.parametrize("f0_hz", [65.4, 196.0, 440.0, 1046.5, 1760.0])
def test_steady_tones_from_cello_to_flute(tracker: str, f0_hz: float) -> None:
    found, confidence = track(steady(f0_hz), tracker)
    inner = slice(5, -5)
    # pYIN answers in steps of 10 cents; SwiftF0 is off by up to 14 cents near its upper limit.
    assert np.abs(cents(found[inner], f0_hz)).max() < 20
    assert (confidence[inner] >= 0.5).mean() > 0.9


@trackers
def test_glides_are_followed_without_delay(tracker: str) -> None:
    seconds = np.arange(3 * RATE) / RATE
    errors = []
    for low, high in ((110.0, 440.0), (440.0, 110.0)):
        truth = low * (high / low) ** (seconds / 3)
        found, confidence = track(harmonic(truth), tracker)
        inner = (confidence >= 0.5) & (np.arange(len(found)) > 5) & (np.arange(len(found)) < len(found) - 5)
        errors.append(float(np.median(cents(found, truth[::HOP])[inner])))
    # A delay moves the up and the down glide apart, a bias moves both alike. The pitch changes by 800 cents a
    # second, so 1 ms of delay is 0.8 cents on either side; half a SwiftF0 hop would be 6.4.
    assert abs(errors[0] - errors[1]) / 2 < 3
    assert max(map(abs, errors)) < 12


@trackers
@pytest.mark.parametrize("n_samples", [0, 1, 5, 200, HOP, HOP + 1, 1000])
def test_very_short_input_has_its_frames(tracker: str, n_samples: int) -> None:
    f0_hz, confidence = track(steady(440.0)[:n_samples], tracker)
    assert f0_hz.shape == confidence.shape == (-(-n_samples // HOP),)
    assert f0_hz.dtype == confidence.dtype == np.float32
    assert (f0_hz > 0).all()


@trackers
def test_silence_is_unvoiced_and_has_the_default_pitch(tracker: str) -> None:
    f0_hz, confidence = track(np.zeros(RATE), tracker)
    assert (f0_hz == DEFAULT_F0_HZ).all()
    assert confidence.max() == 0


@trackers
def test_noise_is_not_voiced(tracker: str) -> None:
    noise = 0.1 * np.random.default_rng(0).standard_normal(2 * RATE)
    _, confidence = track(noise, tracker)
    assert (confidence >= 0.5).mean() < 0.1


@trackers
def test_pitch_is_held_at_the_ends_and_bridged_in_log_frequency(tracker: str) -> None:
    gap = np.zeros(RATE // 2, np.float32)
    audio = np.concatenate([gap, steady(220.0, secs=0.6), gap, steady(440.0, secs=0.6), gap])
    f0_hz, confidence = track(audio, tracker)
    assert abs(cents(f0_hz[0], 220.0)) < 60  # the very first voiced frame is an onset: allow half a semitone
    assert abs(cents(f0_hz[-1], 440.0)) < 60
    middle = round((0.5 + 0.6 + 0.25) * FRAMES)
    assert confidence[middle] < 0.5
    # Half way through the gap the bridge is half an octave up; each end of the gap is known to some 50 ms.
    assert abs(cents(f0_hz[middle], 220.0 * 2**0.5)) < 250


@trackers
def test_quiet_recordings_are_tracked_like_loud_ones(tracker: str) -> None:
    loud, _ = track(steady(196.0), tracker)
    quiet, confidence = track(steady(196.0, peak=0.001), tracker)
    assert np.abs(cents(quiet[5:-5], loud[5:-5])).max() < 10
    assert confidence[5:-5].min() >= 0.5


@trackers
def test_other_sample_rates(tracker: str) -> None:
    seconds = np.arange(48_000) / 48_000
    audio = 0.2 * sum(np.sin(2 * np.pi * 330 * k * seconds) / k for k in range(1, 9))
    f0_hz, _ = track(audio, tracker, sample_rate_hz=48_000)
    assert len(f0_hz) == FRAMES
    assert np.abs(cents(f0_hz[5:-5], 330.0)).max() < 20


def test_windows_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = np.arange(5 * RATE) / RATE
    audio = harmonic(220 * 2 ** (0.5 * np.sin(2 * np.pi * 0.4 * seconds)))
    whole, whole_confidence = track(audio, "swift_f0")
    monkeypatch.setattr(pitch, "WINDOW_SECS", 1.024)
    pieces, pieces_confidence = track(audio, "swift_f0")
    # The context covers the model's receptive field: only the order of float32 sums differs.
    np.testing.assert_allclose(pieces, whole, rtol=1e-4)
    np.testing.assert_allclose(pieces_confidence, whole_confidence, atol=1e-3)


def test_block_size_does_not_matter() -> None:
    audio = steady(330.0, secs=2.0)
    curves = []
    for size in (len(audio), 777):
        stream = pitch.PitchStream(pitch.get_tracker("swift_f0"), sample_rate_hz=RATE)
        for start in range(0, len(audio), size):
            stream.push(audio[start : start + size])
        curves.append(stream.finish())
    np.testing.assert_array_equal(curves[0].f0_hz, curves[1].f0_hz)
    np.testing.assert_array_equal(curves[0].seconds, curves[1].seconds)


def test_isolated_octave_slips_are_mended_and_played_octaves_are_not() -> None:
    seconds = np.arange(40) * 0.016
    played = np.where(np.arange(40) < 20, 60.0, 72.0)
    np.testing.assert_array_equal(mend_octave_slips(seconds, played), played)
    slipped = np.full(40, 60.0) + 0.1 * np.sin(np.arange(40))
    broken = slipped.copy()
    broken[10:12] += 12
    broken[30] -= 24
    np.testing.assert_allclose(mend_octave_slips(seconds, broken), slipped)
    fifth = slipped.copy()
    fifth[10:12] += 7
    np.testing.assert_array_equal(mend_octave_slips(seconds, fifth), fifth)


def test_unknown_tracker_names_those_that_exist() -> None:
    with pytest.raises(TinyTimbreError, match="swift_f0, pyin"):
        track(np.zeros(100), "crepe")


@pytest.mark.parametrize("audio", [np.array([0.0, np.nan]), np.zeros((2, 100))])
def test_unusable_audio_is_refused(audio: np.ndarray) -> None:
    with pytest.raises(TinyTimbreError):
        track(audio, "swift_f0")
