from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import given
from hypothesis import strategies as st
from made_notes import make_note

from tinytimbre.audio.duplicates import find_matches, fingerprint, group_takes

RATE = 16_000


def recoded(audio, **settings):
    buffer = io.BytesIO()
    soundfile.write(buffer, audio, RATE, **settings)
    buffer.seek(0)
    return soundfile.read(buffer, dtype="float32")[0]


def repitched(audio, semitones):
    return soxr.resample(audio, RATE, RATE / 2 ** (semitones / 12))


def same_take(first, second, *, first_hz, second_hz):
    prints = {
        "a": fingerprint(first, sample_rate_hz=RATE, f0_hz=first_hz),
        "b": fingerprint(second, sample_rate_hz=RATE, f0_hz=second_hz),
    }
    return bool(find_matches(prints))


COPIES = {
    "mp3": lambda audio: recoded(audio, format="MP3"),
    "vorbis": lambda audio: recoded(audio, format="OGG"),
    "quieter": lambda audio: 0.05 * audio,
    "inverted": lambda audio: -audio,
    "start cut": lambda audio: audio[len(audio) // 4 :],
    "both ends cut": lambda audio: audio[len(audio) // 6 : -len(audio) // 6],
    "padded": lambda audio: np.pad(audio, (5_000, 3_000)),
}


@pytest.mark.parametrize("name", COPIES)
@pytest.mark.parametrize("f0_hz", [110.0, 440.0])
def test_copies_are_one_take(name, f0_hz):
    note = make_note(f0_hz, seed=3)
    assert same_take(note, COPIES[name](note), first_hz=f0_hz, second_hz=f0_hz)


@pytest.mark.parametrize("semitones", [-7, -2, 1, 5, 12])
def test_resampled_copies_are_one_take(semitones):
    note = make_note(300, seed=4, seconds=4.0)
    # The tracked pitch of a copy is off by some cents, as real trackers are.
    copy_hz = 300 * 2 ** ((semitones + 0.05) / 12)
    assert same_take(note, repitched(note, semitones), first_hz=300, second_hz=copy_hz)


def test_two_takes_of_one_note_stay_apart():
    prints = {str(i): fingerprint(make_note(262, seed=i), sample_rate_hz=RATE, f0_hz=262) for i in range(12)}
    assert find_matches(prints) == []


def test_a_scale_of_one_player_stays_apart():
    prints = {}
    for i in range(12):
        f0_hz = 196 * 2 ** (i / 12)
        prints[str(i)] = fingerprint(make_note(f0_hz, seed=100 + i), sample_rate_hz=RATE, f0_hz=f0_hz)
    assert find_matches(prints) == []


def test_a_clip_from_the_middle_of_a_long_recording():
    phrase = np.concatenate([make_note(200 * 2 ** (i / 12), seed=i) for i in range(20)])
    clip = phrase[37 * RATE : 47 * RATE]
    assert same_take(phrase, clip, first_hz=340.0, second_hz=450.0)


def test_other_sample_rates_without_pitch_and_very_short():
    note = make_note(262, seed=5)
    prints = {
        "a": fingerprint(note, sample_rate_hz=RATE, f0_hz=0.0),
        "b": fingerprint(soxr.resample(note, RATE, 22_050), sample_rate_hz=22_050, f0_hz=0.0),
        "c": fingerprint(note[:100], sample_rate_hz=RATE, f0_hz=262),
        "d": fingerprint(np.zeros(100, np.float32), sample_rate_hz=RATE, f0_hz=0.0),
    }
    assert [(match.first, match.second) for match in find_matches(prints)] == [("a", "b")]


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=40))
def test_groups_are_connected_components_named_by_their_smallest(pairs):
    ids = [f"{i:02d}" for i in range(21)]
    takes = group_takes(ids, pairs=[(f"{a:02d}", f"{b:02d}") for a, b in pairs])
    reached = {key: {key} for key in ids}
    for _ in ids:
        for a, b in pairs:
            both = reached[f"{a:02d}"] | reached[f"{b:02d}"]
            for key in both:
                reached[key] = reached[key] | both
    assert takes == {key: min(reached[key]) for key in ids}
