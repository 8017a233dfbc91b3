from __future__ import annotations

import errno

import numpy as np
import pytest
import soundfile
from made_notes import make_note, write_notes

from tinytimbre.audio import ingest as ingest_module
from tinytimbre.audio.ingest import ingest
from tinytimbre.audio.recording import RecordingSet
from tinytimbre.config import SweepConfig
from tinytimbre.errors import TinyTimbreError


def config(**sections):
    return SweepConfig.model_validate({"name": "test", "search": {"space": {"width": [8]}}, **sections})


@pytest.fixture
def folder(tmp_path):
    """Five good notes, a copy, a louder copy, an empty file; an instrument with one note only."""
    root = tmp_path / "recordings"
    write_notes(root / "violin", count=5)
    write_notes(root / "kazoo", count=1, seed=50)
    first = root / "violin" / "note0.wav"
    (root / "violin" / "zz-same.wav").write_bytes(first.read_bytes())
    audio, rate = soundfile.read(first)
    soundfile.write(root / "violin" / "quieter.flac", 0.5 * audio, rate)
    (root / "violin" / "empty.wav").touch()
    return root


def by_path(recordings):
    return {recording.path: recording for recording in recordings.recordings}


def snapshot(output):
    return {
        str(path.relative_to(output)): path.read_bytes()
        for path in sorted(output.rglob("*"))
        if path.is_file() and ".checked" not in path.parts
    }


def test_what_ingest_finds_and_writes(folder, tmp_path):
    output = tmp_path / "out"
    found = ingest(folder, config=config(), output=output, jobs=2)
    assert found.instruments == ("violin",)
    assert [p.kind for p in found.instrument_problems["kazoo"]] == ["too-few-takes"]
    files = by_path(found)
    kinds = {path: [p.kind for p in one.problems] for path, one in files.items() if one.problems}
    assert kinds == {
        "violin/empty.wav": ["empty"],
        "violin/note0.wav": ["near-duplicate"],
        "violin/quieter.flac": ["near-duplicate"],
        "violin/zz-same.wav": ["duplicate"],
    }
    pair = files["violin/note0.wav"], files["violin/quieter.flac"]
    assert pair[0].take_id == pair[1].take_id == min(one.recording_id for one in pair)
    assert pair[0].split == pair[1].split is not None
    assert files["violin/zz-same.wav"].split is None
    assert "violin/note0.wav" in files["violin/zz-same.wav"].problems[0].message
    assert {one.split for one in found.accepted()} == {"train", "validation", "test"}
    written = {str(path.relative_to(output)) for path in (output / "audio").rglob("*.flac")}
    assert written == {one.audio_path for one in found.accepted()}
    audio, rate = soundfile.read(output / files["violin/note1.wav"].audio_path)
    assert (rate, audio.ndim) == (16_000, 1)
    np.testing.assert_allclose(audio, soundfile.read(folder / "violin/note1.wav")[0], atol=2**-22)  # 24 bits
    assert RecordingSet.load(output) == found


def test_the_result_depends_on_nothing_but_the_files(folder, tmp_path):
    ingest(folder, config=config(), output=tmp_path / "a", jobs=1)
    ingest(folder, config=config(), output=tmp_path / "b", jobs=4)
    assert snapshot(tmp_path / "a") == snapshot(tmp_path / "b")


def test_what_is_done_is_not_done_again(folder, tmp_path, monkeypatch):
    decoded = []
    real = ingest_module.decode
    monkeypatch.setattr(ingest_module, "decode", lambda path: decoded.append(path.name) or real(path))
    first = ingest(folder, config=config(), output=tmp_path / "out", cache=tmp_path / "cache")
    before = snapshot(tmp_path / "out")
    decoded.clear()
    assert ingest(folder, config=config(), output=tmp_path / "out", cache=tmp_path / "cache") == first
    assert decoded == []
    assert snapshot(tmp_path / "out") == before
    soundfile.write(folder / "violin" / "new.wav", make_note(500, seed=77, seconds=1.0), 16_000)
    again = ingest(folder, config=config(), output=tmp_path / "other", cache=tmp_path / "cache")
    assert decoded == ["new.wav"]
    assert len(again.accepted()) == len(first.accepted()) + 1
    ingest(folder, config=config(audio={"min_secs": 0.6}), output=tmp_path / "out", cache=tmp_path / "cache")
    assert len(decoded) > 5


def test_a_recording_that_is_gone_leaves_no_audio(folder, tmp_path):
    ingest(folder, config=config(), output=tmp_path / "out")
    (folder / "violin" / "note4.wav").unlink()
    found = ingest(folder, config=config(), output=tmp_path / "out")
    written = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out" / "audio").rglob("*.flac")}
    assert written == {one.audio_path for one in found.accepted()}


def test_takes_named_by_the_manifest_stay_together(tmp_path):
    root = tmp_path / "recordings"
    write_notes(root / "violin", count=6)
    rows = [f"violin/note{i}.wav,violin,take{i // 2}" for i in range(6)]
    (root / "manifest.csv").write_text("\n".join(["file,instrument,take", *rows]))
    files = by_path(ingest(root, config=config(), output=tmp_path / "out"))
    takes = [files[f"violin/note{i}.wav"].take_id for i in range(6)]
    assert takes[::2] == takes[1::2]
    assert len(set(takes)) == 3


def test_no_usable_instrument(tmp_path):
    write_notes(tmp_path / "recordings" / "kazoo", count=2)
    with pytest.raises(TinyTimbreError, match="kazoo has 2"):
        ingest(tmp_path / "recordings", config=config(), output=tmp_path / "out")
    assert len(RecordingSet.load(tmp_path / "out").recordings) == 2


def test_what_is_left_out_is_said_even_when_nothing_remains(tmp_path, caplog):
    write_notes(tmp_path / "recordings" / "kazoo", count=2)
    (tmp_path / "recordings" / "kazoo" / "empty.wav").touch()
    with pytest.raises(TinyTimbreError):
        ingest(tmp_path / "recordings", config=config(), output=tmp_path / "out")
    assert "kazoo/empty.wav is left out: a recording must not be an empty file" in caplog.text
    assert "kazoo is left out: an instrument needs at least 3" in caplog.text


def test_a_file_beside_the_folders_makes_no_instrument(folder, tmp_path):
    (folder / "stray.wav").write_bytes((folder / "violin" / "note0.wav").read_bytes())
    found = ingest(folder, config=config(), output=tmp_path / "out")
    assert list(found.instrument_problems) == ["kazoo"]
    assert [problem.kind for problem in by_path(found)["stray.wav"].problems] == ["no-instrument"]


def test_a_folder_without_a_usable_name_stops_no_other(folder, tmp_path, caplog):
    (folder / "笛子").mkdir()
    (folder / "violin" / "note0.wav").rename(folder / "笛子" / "a.wav")
    found = ingest(folder, config=config(), output=tmp_path / "out")
    assert found.instruments == ("violin",)
    assert set(found.instrument_problems) == {"kazoo"}
    assert [p.kind for p in by_path(found)["笛子/a.wav"].problems] == ["no-name"]
    assert "笛子/a.wav is left out" in caplog.text


def test_full_disk(folder, tmp_path, monkeypatch):
    """The one failure that cannot be had for real: the second file finds no room."""
    calls = []
    real = ingest_module._flac_bytes

    def full(*args, **kwargs):
        calls.append(1)
        if len(calls) > 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(*args, **kwargs)

    monkeypatch.setattr(ingest_module, "_flac_bytes", full)
    with pytest.raises(TinyTimbreError, match="room on the disk") as caught:
        ingest(folder, config=config(), output=tmp_path / "out")
    assert caught.value.remedy
    assert not (tmp_path / "out" / "recordings.json").exists()
    monkeypatch.setattr(ingest_module, "_flac_bytes", real)
    assert ingest(folder, config=config(), output=tmp_path / "out").instruments == ("violin",)


def test_a_set_that_is_not_there(tmp_path):
    with pytest.raises(TinyTimbreError, match=r"recordings\.json"):
        RecordingSet.load(tmp_path)
