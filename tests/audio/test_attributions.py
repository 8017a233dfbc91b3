"""Whom to name for recordings, from a table beside them."""

from __future__ import annotations

import os
import pathlib

import pytest

from pipelines.recordings import take_inventory
from tinytimbre.audio.scan import scan_recordings
from tinytimbre.errors import TinyTimbreError


@pytest.fixture
def recordings(tmp_path: pathlib.Path) -> pathlib.Path:
    """Two instruments; the manifest says something about one file only."""
    for name in ("violin/doe_a.wav", "violin/doe_b.wav", "violin/else.wav", "oboe/archive_1.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"sound")
    rows = ["violin/doe_a.wav,violin,CC BY 4.0,", "violin/doe_b.wav,violin,,Somebody", "violin/else.wav,violin,,"]
    (tmp_path / "manifest.csv").write_text("\n".join(["file,instrument,licence,attribution", *rows]))
    return tmp_path


def write(recordings: pathlib.Path, text: str) -> pathlib.Path:
    path = recordings / "Attributions.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_what_is_empty_is_filled_by_the_first_pattern_that_fits(recordings):
    write(
        recordings,
        'files,attribution,licence\nviolin/doe_*,"Doe, Jane",CC BY 3.0\n*/archive_*,The archive,CC0 1.0\n'
        "violin/*,Anybody,\n\n",
    )
    files = {file.relative: (file.licence, file.attribution) for file in scan_recordings(recordings)}
    assert files == {
        "oboe/archive_1.wav": ("CC0 1.0", "The archive"),
        "violin/doe_a.wav": ("CC BY 4.0", "Doe, Jane"),
        "violin/doe_b.wav": ("CC BY 3.0", "Somebody"),
        "violin/else.wav": ("", "Anybody"),
    }
    # Patterns of other instruments fit although only one is wanted.
    assert [file.relative for file in scan_recordings(recordings, instruments=["oboe"])] == ["oboe/archive_1.wav"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("files,attribution\nviola/*,Nobody\n", "viola"),
        ("files,attribution\nviolin/*,\n", "a row without both"),
        ("files,attribution,year\nviolin/*,Jane,2024\n", "year"),
        ("violin/*;Jane\n", "violin"),
    ],
)
def test_a_table_that_cannot_be_meant_is_explained(recordings, text, told):
    write(recordings, text + "oboe/*;x\n" if ";" in text else text)
    with pytest.raises(TinyTimbreError, match=r"Attributions\.csv") as caught:
        scan_recordings(recordings)
    assert told in str(caught.value)


def test_a_change_of_the_table_is_noticed(recordings):
    before = take_inventory(recordings).digest
    path = write(recordings, "files,attribution\nviolin/*,Jane\n")
    written = take_inventory(recordings).digest
    assert written != before
    os.utime(path, ns=(1, 1))
    assert take_inventory(recordings).digest != written
