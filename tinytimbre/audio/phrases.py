"""Long recordings cut into phrases, each a take of its own.

    cut("recordings", to=pathlib.Path("phrases"), phrase_secs=10.0)

Takes are what is held out and what confidence is counted in; three recordings of three minutes are three takes, and
show nothing. Cut at their quietest moments they are fifty. Phrases of one recording share player and room: a verdict on
them is about more music of that player in that room, as it is with single notes of one session.
"""

from __future__ import annotations

import csv
import io
import itertools
import pathlib
import tempfile
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import soundfile

from tinytimbre.audio.reading import Decoded, UnreadableAudioError, decode, to_mono
from tinytimbre.audio.scan import SourceFile, scan_recordings
from tinytimbre.audio.sources import COLUMNS, MANIFEST
from tinytimbre.durable import link_or_copy, write_whole
from tinytimbre.errors import TinyTimbreError
from tinytimbre.progress import track

MIN_PHRASE_SECS = 2.0
SHORTEST, LONGEST = 0.5, 1.5
"""Of a phrase, in units of the length asked for."""

ONE_PHRASE = 2
"""Bounds of a recording that is not cut."""

LEVEL_HOP_SECS, LEVEL_FRAMES = 0.01, 5
"""Levels are energies of 10 ms, averaged over 50."""


def phrase_bounds(audio: np.ndarray, *, sample_rate_hz: int, phrase_secs: float) -> list[int]:
    """Where to cut: at the quietest 50 ms between half and one and a half times the length after the last cut.

    Args:
        audio: float [n], n >= 1.
        sample_rate_hz: of the audio.
        phrase_secs: length asked for.

    Returns:
        Sample indices, 0 and n among them; one phrase where n is at most one and a half lengths.
    """
    hop = max(1, round(LEVEL_HOP_SECS * sample_rate_hz))
    frames = audio[: len(audio) // hop * hop].astype(np.float64).reshape(-1, hop)
    energy = np.convolve((frames**2).mean(axis=1), np.ones(LEVEL_FRAMES) / LEVEL_FRAMES, mode="same")
    per_phrase = phrase_secs * sample_rate_hz / hop
    shortest, longest = round(SHORTEST * per_phrase), round(LONGEST * per_phrase)
    cuts = [0]
    while len(energy) - cuts[-1] > longest:
        first, last = cuts[-1] + shortest, min(cuts[-1] + longest, len(energy) - shortest)
        cuts.append(first + int(np.argmin(energy[first : last + 1])))
    return [*(one * hop for one in cuts), len(audio)]


def cut(
    folder: str | pathlib.Path,
    *,
    to: pathlib.Path,
    phrase_secs: float,
    instruments: Iterable[str] = (),
) -> dict[str, tuple[int, int]]:
    """Writes the recordings of a folder into a new one, long ones as several files, with a manifest.

    The new folder appears whole or not at all. A recording of at most one and a half lengths is linked (or copied) as
    it is, and so is one that cannot be read: a sweep says what is wrong with it. Phrases are FLAC of 24 bits with the
    rate and channels of their recording. Source, licence and attribution go along; a take that the manifest names holds
    for the recordings that stay whole.

    Returns:
        By instrument how many recordings there were and how many files they became.

    Raises:
        TinyTimbreError: nothing to read, phrases that are too short, or a destination that is not new.
    """
    if phrase_secs < MIN_PHRASE_SECS:
        raise TinyTimbreError(
            f"a phrase must last at least {MIN_PHRASE_SECS:g} s", got=f"{phrase_secs:g}", remedy="10 is a good length"
        )
    _check_destination(pathlib.Path(folder), to)
    files = [file for file in scan_recordings(folder, instruments=instruments) if not _unusable(file)]
    counts: dict[str, tuple[int, int]] = {}
    rows: list[dict[str, str]] = []
    to.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=to.parent, prefix=f".{to.name}-") as scratch:
        unfinished = pathlib.Path(scratch) / to.name
        for file in track(files, label="phrases", unit="files"):
            names = _write_phrases(file, to=unfinished, phrase_secs=phrase_secs)
            rows += [_row(file, name, whole=len(names) == 1) for name in names]
            read, made = counts.get(file.instrument, (0, 0))
            counts[file.instrument] = (read + 1, made + len(names))
        write_whole(unfinished / MANIFEST, _table(rows).encode())
        unfinished.replace(to)
    return counts


def _unusable(file: SourceFile) -> bool:
    return file.problem is not None and file.problem.fatal


def _check_destination(folder: pathlib.Path, to: pathlib.Path) -> None:
    if to.resolve().is_relative_to(folder.resolve()):
        raise TinyTimbreError(
            "phrases need a folder outside that of the recordings", got=f"{to} lies in {folder}", remedy="name another"
        )
    if to.exists() and not (to.is_dir() and not any(to.iterdir())):
        raise TinyTimbreError(
            "phrases need a new folder", got=f"{to} is there already", remedy="name another, or move it away"
        )


def _write_phrases(file: SourceFile, *, to: pathlib.Path, phrase_secs: float) -> list[str]:
    """Paths of what one recording became, relative to `to`."""
    decoded = _decoded(file.path)
    bounds = _bounds(decoded, phrase_secs=phrase_secs) if decoded else []
    if not decoded or len(bounds) <= ONE_PHRASE:
        (to / file.relative).parent.mkdir(parents=True, exist_ok=True)
        link_or_copy(file.path.resolve(), to / file.relative)
        return [file.relative]
    return list(_parts(decoded, bounds, relative=file.relative, to=to))


def _decoded(path: pathlib.Path) -> Decoded | None:
    try:
        return decode(path)
    except UnreadableAudioError:
        return None


def _bounds(decoded: Decoded, *, phrase_secs: float) -> list[int]:
    mono = to_mono(decoded, sample_rate_hz=decoded.sample_rate_hz)
    return phrase_bounds(mono, sample_rate_hz=decoded.sample_rate_hz, phrase_secs=phrase_secs)


def _parts(decoded: Decoded, bounds: Sequence[int], *, relative: str, to: pathlib.Path) -> Iterator[str]:
    # The ending stays in the name: a.wav and a.mp3 may lie side by side.
    stem = relative.replace(".", "-")
    for number, (first, last) in enumerate(itertools.pairwise(bounds), start=1):
        name = f"{stem}-{number:03d}.flac"
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        part = np.clip(decoded.samples[:, first:last].T, -1.0, 1.0)
        soundfile.write(to / name, part, decoded.sample_rate_hz, subtype="PCM_24")
        yield name


def _row(file: SourceFile, name: str, *, whole: bool) -> dict[str, str]:
    kept = {"source": file.source, "licence": file.licence, "attribution": file.attribution}
    return {"file": name, "instrument": file.instrument, **kept, "take": file.take if whole else ""}


def _table(rows: Sequence[dict[str, str]]) -> str:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, (*COLUMNS, "take"), lineterminator="\n")
    writer.writeheader()
    writer.writerows(sorted(rows, key=lambda row: row["file"]))
    return buffer.getvalue()
