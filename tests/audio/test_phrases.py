"""Long recordings become phrases: where they are cut, and what goes along."""

from __future__ import annotations

import csv
import pathlib

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from tests.audio.made_notes import make_note
from tinytimbre.audio.phrases import cut, phrase_bounds
from tinytimbre.config import SweepConfig
from tinytimbre.errors import TinyTimbreError

RATE = 16_000


def melody(*, notes: int, note_secs: float = 2.0, rest_secs: float = 0.3, seed: int = 0) -> np.ndarray:
    """Notes with rests between them."""
    rest = np.zeros(round(rest_secs * RATE), np.float32)
    made = [make_note(220 * 2 ** (i % 7 / 6), seed=seed + i, seconds=note_secs) for i in range(notes)]
    return np.concatenate([part for note in made for part in (note, rest)])


def test_cuts_lie_in_rests():
    audio = melody(notes=15)
    bounds = phrase_bounds(audio, sample_rate_hz=RATE, phrase_secs=5.0)
    assert len(bounds) > 4
    for inner in bounds[1:-1]:
        place = inner / RATE % 2.3
        # A note's first and last 50 ms are as good as silent too.
        assert place >= 1.95 or place <= 0.05, place


@given(st.floats(0.1, 40.0), st.floats(2.0, 12.0), st.integers(0, 2**32 - 1))
def test_phrases_are_whole_and_of_the_length_asked_for(seconds, phrase_secs, seed):
    rate = 1_000
    audio = np.random.default_rng(seed).normal(size=round(seconds * rate))
    bounds = phrase_bounds(audio, sample_rate_hz=rate, phrase_secs=phrase_secs)
    lengths = np.diff(bounds) / rate
    assert bounds[0] == 0
    assert bounds[-1] == len(audio)
    # Cuts fall on a grid of 10 ms, and what is left of it belongs to the last phrase.
    assert (lengths <= 1.5 * phrase_secs + 0.03).all()
    if len(lengths) > 1:
        assert (lengths >= 0.5 * phrase_secs - 0.02).all()


@pytest.fixture
def recordings(tmp_path: pathlib.Path) -> pathlib.Path:
    folder = tmp_path / "recordings"
    (folder / "violin" / "old").mkdir(parents=True)
    stereo = np.stack([melody(notes=12), 0.5 * melody(notes=12, seed=50)], axis=1)
    soundfile.write(folder / "violin" / "caprice.wav", stereo, RATE, subtype="FLOAT")
    soundfile.write(folder / "violin" / "old" / "note.wav", make_note(440, seed=1), RATE)
    (folder / "violin" / "broken.wav").write_bytes(b"RIFF nothing")
    (folder / "manifest.csv").write_text(
        "file,instrument,licence,attribution,take\nviolin/caprice.wav,violin,CC BY 4.0,Jane Doe,first\n"
        "violin/old/note.wav,violin,CC0 1.0,,second\nviolin/broken.wav,violin,,,\n"
    )
    return folder


def test_phrases_put_together_are_the_recording(recordings, tmp_path):
    counts = cut(recordings, to=tmp_path / "phrases", phrase_secs=6.0)
    parts = sorted((tmp_path / "phrases" / "violin").glob("caprice-*.flac"))
    original, _ = soundfile.read(recordings / "violin" / "caprice.wav")
    joined = np.concatenate([soundfile.read(part)[0] for part in parts])
    # FLAC holds 24 bits, the recording floating point.
    assert np.abs(joined - original).max() <= 2**-23
    assert counts == {"violin": (3, 2 + len(parts))}
    assert len(parts) > 3


def test_what_is_known_goes_along_and_the_sweep_reads_it(recordings, tmp_path):
    from tinytimbre.audio.ingest import ingest

    cut(recordings, to=tmp_path / "phrases", phrase_secs=6.0)
    with (tmp_path / "phrases" / "manifest.csv").open(newline="") as stream:
        rows = {row["file"]: row for row in csv.DictReader(stream)}
    phrases = [row for name, row in rows.items() if "caprice" in name]
    assert {(row["licence"], row["attribution"], row["take"]) for row in phrases} == {("CC BY 4.0", "Jane Doe", "")}
    assert rows["violin/old/note.wav"]["take"] == "second"
    config = SweepConfig(name="any", search={"space": {"decoder": ["gru"], "width": [8]}})
    found = ingest(tmp_path / "phrases", config=config, output=tmp_path / "ingested")
    assert len({one.take_id for one in found.accepted()}) == len(phrases) + 1
    # What cannot be read is still there for the sweep to say why.
    assert [one.path for one in found.rejected()] == ["violin/broken.wav"]


@pytest.mark.parametrize(
    ("to", "secs", "told"),
    [("recordings/phrases", 6.0, "outside"), ("full", 6.0, "new folder"), ("phrases", 0.5, "at least 2 s")],
)
def test_what_cannot_be_meant_is_explained(recordings, tmp_path, to, secs, told):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "note.wav").write_bytes(b"")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(TinyTimbreError, match=told) as caught:
        cut(recordings, to=tmp_path / to, phrase_secs=secs)
    assert caught.value.remedy
    assert sorted(tmp_path.rglob("*")) == before


def test_nothing_is_left_of_what_was_interrupted(recordings, tmp_path, monkeypatch):
    def interrupted(*_args, **_kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("tinytimbre.audio.phrases.soundfile.write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        cut(recordings, to=tmp_path / "phrases", phrase_secs=6.0)
    assert [path.name for path in tmp_path.iterdir()] == ["recordings"]
