from __future__ import annotations

import itertools

import librosa
import numpy as np
import pytest

from tinytimbre.features.loudness import rms_energy_db
from tinytimbre.features.pitch import track_pitch
from tinytimbre.quality.voice import PHRASE, VOWELS, Part, synthetic_voice

RATE = 16_000


def spans() -> list[tuple[Part, slice]]:
    """Samples of each part, without its fades."""
    ends = np.round(np.cumsum([0.0, *(part.seconds for part in PHRASE)]) * RATE).astype(int)
    return [
        (part, slice(first + 400, last - 400))
        for part, (first, last) in zip(PHRASE, itertools.pairwise(ends), strict=True)
    ]


@pytest.fixture(scope="module")
def voice() -> np.ndarray:
    return synthetic_voice(sample_rate_hz=RATE)


def test_it_is_as_long_as_its_parts_and_always_the_same(voice: np.ndarray) -> None:
    assert len(voice) == round(sum(part.seconds for part in PHRASE) * RATE)
    assert np.abs(voice).max() == pytest.approx(0.5)
    np.testing.assert_array_equal(voice, synthetic_voice(sample_rate_hz=RATE))


def test_vowels_have_their_pitch_and_the_rest_has_none(voice: np.ndarray) -> None:
    f0_hz, confidence = track_pitch(voice, sample_rate_hz=RATE, frame_rate_hz=50)
    for part, span in spans():
        frames = slice(span.start // 320 + 1, span.stop // 320)
        if part.kind == "vowel":
            expected = np.geomspace(*part.f0_hz, frames.stop - frames.start)
            off = 1200 * np.abs(np.log2(f0_hz[frames] / expected))
            # Vibrato of 9 cents, a glide cut at its ends, and the tracker's own few cents.
            assert np.median(off) < 40
            assert np.median(confidence[frames]) > 0.5
        else:
            assert np.median(confidence[frames]) < 0.5


@pytest.mark.parametrize("vowel", ["a", "i", "u"])
def test_formants_are_where_they_were_measured(vowel: str) -> None:
    """Linear prediction, an independent way to find resonances, on a vowel sung on 100 Hz."""
    sound = synthetic_voice(sample_rate_hz=RATE, parts=[Part("vowel", 1.0, vowel=vowel, f0_hz=(100.0, 100.0))])
    # The source falls by 12 dB an octave: two differences take it out.
    roots = np.roots(librosa.lpc(np.diff(sound.astype(np.float64), n=2)[1600:-1600], order=18))
    resonances = np.abs(np.angle(roots[(roots.imag > 0) & (np.abs(roots) > 0.9)])) * RATE / (2 * np.pi)
    for formant_hz in VOWELS[vowel]:
        # Prediction is drawn to the nearest harmonic, at most half of 100 Hz away.
        assert np.abs(resonances - formant_hz).min() < 60


def test_silence_is_silent_and_consonants_are_not(voice: np.ndarray) -> None:
    for part, span in spans():
        level = rms_energy_db(voice[span], sample_rate_hz=RATE, frame_rate_hz=50)
        if part.kind == "silence":
            assert np.abs(voice[span]).max() == 0
        else:
            assert level.max() > -60
