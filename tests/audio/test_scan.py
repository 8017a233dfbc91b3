from __future__ import annotations

import json
import os

import pytest

from tinytimbre.audio.scan import scan_recordings, slug
from tinytimbre.errors import TinyTimbreError


def touch(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_a_folder_per_instrument(tmp_path):
    touch(tmp_path, "violin/b.wav", "violin/deep/er/a.MP3", "Tenor Sax/1.flac")
    touch(
        tmp_path, "violin/.DS_Store", ".hidden/x.wav", "violin/._b.wav", "LICENSE", "violin/README.md", "violin/b.csv"
    )
    files = scan_recordings(tmp_path)
    assert [(file.relative, file.instrument) for file in files] == [
        ("Tenor Sax/1.flac", "tenor_sax"),
        ("violin/b.wav", "violin"),
        ("violin/deep/er/a.MP3", "violin"),
    ]
    assert not any(file.problem for file in files)


def test_unknown_and_stray_files_are_reported(tmp_path):
    touch(tmp_path, "violin/a.wav", "violin/session.xyz", "loose.wav")
    problems = {file.relative: file.problem and file.problem.kind for file in scan_recordings(tmp_path)}
    assert problems == {"violin/a.wav": None, "violin/session.xyz": "unknown-file", "loose.wav": "no-instrument"}


def test_a_folder_of_files_is_one_instrument(tmp_path):
    touch(tmp_path, "Tin Whistle/a.wav", "Tin Whistle/b.wav")
    assert {file.instrument for file in scan_recordings(tmp_path / "Tin Whistle")} == {"tin_whistle"}


def test_a_csv_manifest(tmp_path):
    touch(tmp_path, "x/a.wav", "x/b.wav", "flute/c.wav")
    (tmp_path / "MANIFEST.csv").write_text(
        "\ufefffile,instrument,source,licence,take\nx/a.wav,violin,me,CC0,t1\nx/gone.wav,violin,me,CC0,\n", "utf-8"
    )
    files = {file.relative: file for file in scan_recordings(tmp_path)}
    assert (files["x/a.wav"].instrument, files["x/a.wav"].licence, files["x/a.wav"].take) == ("violin", "CC0", "t1")
    assert files["x/gone.wav"].problem.kind == "missing"
    assert (files["flute/c.wav"].instrument, files["flute/c.wav"].problem.kind) == ("flute", "unlisted")
    assert not files["flute/c.wav"].problem.fatal


@pytest.mark.parametrize("separator", [";", "\t"])
def test_a_manifest_as_spreadsheets_write_it(tmp_path, separator):
    """Another separator, blanks around values, a row without values at the end."""
    touch(tmp_path, "x/a.wav")
    rows = [["file", "instrument", "licence"], ["x/a.wav ", "violin", "CC BY, 4.0"], ["", "", ""]]
    (tmp_path / "manifest.csv").write_text("\r\n".join(separator.join(row) for row in rows))
    files = scan_recordings(tmp_path)
    assert [(file.relative, file.instrument, file.licence) for file in files] == [("x/a.wav", "violin", "CC BY, 4.0")]


def test_a_json_manifest(tmp_path):
    touch(tmp_path, "a.wav")
    (tmp_path / "manifest.json").write_text(json.dumps([{"file": "a.wav", "instrument": "oboe", "seconds": 1.5}]))
    assert [(file.relative, file.instrument) for file in scan_recordings(tmp_path)] == [("a.wav", "oboe")]


@pytest.mark.parametrize("row", ["../a.wav,violin", "/a.wav,violin", "a.wav,", ",violin"])
def test_manifest_rows_that_cannot_be(tmp_path, row):
    (tmp_path / "manifest.csv").write_text(f"file,instrument\n{row}\n")
    with pytest.raises(TinyTimbreError):
        scan_recordings(tmp_path)


def test_broken_manifest(tmp_path):
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(TinyTimbreError, match="manifest"):
        scan_recordings(tmp_path)


def test_errors_name_the_nearest(tmp_path):
    touch(tmp_path, "recordings/violin/a.wav", "recordings/flute/a.wav")
    with pytest.raises(TinyTimbreError, match="recordings"):
        scan_recordings(tmp_path / "recordinsg")
    with pytest.raises(TinyTimbreError, match="did you mean 'violin'"):
        scan_recordings(tmp_path / "recordings", instruments=["violon"])
    found = scan_recordings(tmp_path / "recordings", instruments=["Violin"])
    assert [file.relative for file in found] == ["violin/a.wav"]


def test_no_audio(tmp_path):
    touch(tmp_path, "violin/notes.txt", "violin/unknown.xyz")
    with pytest.raises(TinyTimbreError, match="must hold audio"):
        scan_recordings(tmp_path)


def test_a_name_without_latin_letters_leaves_out_that_folder_alone(tmp_path):
    root = tmp_path / "录音"
    touch(root, "笛子/a.wav", "笛子/notes.xyz", "violin/b.wav", "loose.wav")
    found = {file.relative: (file.instrument, file.problem and file.problem.kind) for file in scan_recordings(root)}
    assert found == {
        "loose.wav": ("no-instrument", "no-instrument"),
        "violin/b.wav": ("violin", None),
        "笛子/a.wav": ("unnamed", "no-name"),
        "笛子/notes.xyz": ("unnamed", "no-name"),
    }
    reason = next(file.problem.message for file in scan_recordings(root) if file.instrument == "unnamed")
    assert "笛子" in reason
    assert "rename the folder" in reason


def test_a_manifest_may_name_an_instrument_that_cannot_be_written(tmp_path):
    touch(tmp_path, "a.wav", "b.wav")
    (tmp_path / "manifest.csv").write_text("file,instrument\na.wav,笛子\nb.wav,violin\n", encoding="utf-8")
    assert {file.relative: file.instrument for file in scan_recordings(tmp_path)} == {
        "a.wav": "unnamed",
        "b.wav": "violin",
    }


def test_nothing_but_names_without_latin_letters_says_so(tmp_path):
    touch(tmp_path, "笛子/a.wav")
    with pytest.raises(TinyTimbreError, match="no letter a to z"):
        scan_recordings(tmp_path)


def test_slug():
    assert slug(" Tenor Sax (live) ") == "tenor_sax_live"
    with pytest.raises(TinyTimbreError):
        slug("…")


def test_accents_are_dropped_not_replaced():
    assert slug("Flûte à bec") == "flute_a_bec"


def test_links_to_folders_are_followed_but_not_in_circles(tmp_path):
    touch(tmp_path, "archive/a.wav", "recordings/flute/b.wav")
    (tmp_path / "recordings" / "violin").symlink_to(tmp_path / "archive")
    (tmp_path / "recordings" / "flute" / "up").symlink_to(tmp_path / "recordings")
    files = scan_recordings(tmp_path / "recordings")
    assert [(file.relative, file.instrument) for file in files] == [
        ("flute/b.wav", "flute"),
        ("violin/a.wav", "violin"),
    ]


def test_what_is_no_file_is_reported(tmp_path):
    touch(tmp_path, "violin/a.wav")
    (tmp_path / "violin" / "gone.wav").symlink_to(tmp_path / "nowhere.wav")
    os.mkfifo(tmp_path / "violin" / "pipe.wav")
    problems = {file.relative: file.problem and file.problem.kind for file in scan_recordings(tmp_path)}
    assert problems == {"violin/a.wav": None, "violin/gone.wav": "unreadable", "violin/pipe.wav": "unreadable"}
