"""Which files there are and which instrument each belongs to; nothing is read here.

    files = scan_recordings("recordings/", instruments=("violin",))

A folder per instrument, a folder that is one instrument, or a manifest (``manifest.csv`` or ``.json``) that
says so and adds licences; what it does not list is taken by its folder. Every file is returned: one that is
no recording carries its problem, so that it is reported.
"""

from __future__ import annotations

import csv
import dataclasses
import difflib
import io
import json
import pathlib
import re
import unicodedata
from collections.abc import Iterable, Iterator

from tinytimbre.audio.attributions import attributed
from tinytimbre.audio.recording import Problem, problem
from tinytimbre.errors import TinyTimbreError

AUDIO_SUFFIXES = frozenset(
    (
        ".wav",
        ".wave",
        ".w64",
        ".aif",
        ".aiff",
        ".aifc",
        ".caf",
        ".flac",
        ".mp3",
        ".ogg",
        ".oga",
        ".opus",
        ".m4a",
        ".mp4",
        ".aac",
        ".wma",
        ".webm",
        ".mka",
    )
)
SIDECAR_SUFFIXES = frozenset(
    (
        ".txt",
        ".md",
        ".csv",
        ".tsv",
        ".json",
        ".yaml",
        ".yml",
        ".xml",
        ".html",
        ".pdf",
        ".png",
        ".jpg",
        ".jpeg",
        ".gif",
        ".svg",
        ".log",
        ".ini",
        ".sfz",
        ".lab",
        ".mid",
    )
)
SIDECAR_NAMES = frozenset({"license", "licence", "readme", "copying", "notice", "authors", "thumbs.db", "desktop.ini"})
STRAY = "no-instrument"
NAMELESS = "no-name"
UNNAMED = "unnamed"
"""In place of an instrument's name that cannot be written; nothing is trained or published under it."""

MANIFEST_NAMES = ("manifest.csv", "manifest.json")


@dataclasses.dataclass(frozen=True)
class SourceFile:
    """A file to ingest; ``relative`` is its path in the recordings folder, ``take`` a take named by a manifest."""

    path: pathlib.Path
    relative: str
    instrument: str
    source: str = ""
    licence: str = ""
    attribution: str = ""
    take: str = ""
    problem: Problem | None = None


def scan_recordings(folder: str | pathlib.Path, *, instruments: Iterable[str] = ()) -> list[SourceFile]:
    """Files of the wanted instruments (all if none is named), sorted by path.

    Raises:
        TinyTimbreError: no such folder, no audio in it, a broken manifest or table of attributions, an instrument that
            is not there.
    """
    root = pathlib.Path(folder)
    _check_folder(root)
    manifest = find_manifest(root)
    files = attributed(_from_manifest(root, manifest) if manifest else list(_from_folders(root)), root=root)
    files.sort(key=lambda file: file.relative)
    present = sorted({file.instrument for file in files if file.problem is None or not file.problem.fatal})
    if not present:
        raise _nothing_usable(files, root=root, manifest=manifest)
    wanted = _wanted(instruments, present=present)
    return [file for file in files if not wanted or file.instrument in wanted]


def _nothing_usable(files: list[SourceFile], *, root: pathlib.Path, manifest: pathlib.Path | None) -> TinyTimbreError:
    nameless = [file for file in files if file.problem and file.problem.kind == NAMELESS]
    got = f"{root} has none" if not manifest else f"{manifest} lists none that exists"
    return TinyTimbreError(
        "the recordings folder must hold audio files, in a folder per instrument",
        got=f"{nameless[0].relative}, whose instrument has no letter a to z or digit in its name" if nameless else got,
        remedy="rename it" if nameless else "see data/README.md for how to lay out recordings",
    )


def slug(name: str) -> str:
    """Instrument name as used in paths: lower case, ``[a-z0-9_-]``, "Flûte à bec" becomes "flute_a_bec".

    Raises:
        TinyTimbreError: nothing of the name is left.
    """
    plain = "".join(c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c))
    short = re.sub(r"[^a-z0-9_-]+", "_", plain.strip().lower()).strip("_-")
    if not short:
        raise TinyTimbreError(
            "an instrument's name needs letters a to z or digits", got=repr(name), remedy="rename the folder"
        )
    return short


def find_manifest(root: pathlib.Path) -> pathlib.Path | None:
    """The manifest of a recordings folder, whatever its case."""
    found = [path for path in sorted(root.iterdir()) if path.name.lower() in MANIFEST_NAMES and path.is_file()]
    return found[0] if found else None


def _check_folder(root: pathlib.Path) -> None:
    if root.is_dir():
        return
    near: list[str] = []
    if root.parent.is_dir():
        siblings = [path.name for path in root.parent.iterdir() if path.is_dir()]
        near = difflib.get_close_matches(root.name, siblings, n=1)
    raise TinyTimbreError(
        "the recordings folder must exist",
        got=str(root),
        cause=f"did you mean {root.parent / near[0]}?" if near else "",
        remedy="give the folder that holds a folder per instrument",
    )


def _wanted(instruments: Iterable[str], *, present: list[str]) -> set[str]:
    wanted = [slug(name) for name in instruments]
    for name in wanted:
        if name not in present:
            near = difflib.get_close_matches(name, present, n=1)
            raise TinyTimbreError(
                "every instrument asked for must have recordings",
                got=name,
                cause=f"did you mean {near[0]!r}?" if near else "",
                remedy=f"there are: {', '.join(present)}",
            )
    return set(wanted)


def _visible_files(root: pathlib.Path) -> Iterator[pathlib.Path]:
    """Everything below ``root`` that could be a recording: not hidden, not a known companion."""
    for path in _entries(root, above=frozenset()):
        if path.suffix.lower() not in SIDECAR_SUFFIXES and path.stem.lower() not in SIDECAR_NAMES:
            yield path


def _entries(folder: pathlib.Path, *, above: frozenset[pathlib.Path]) -> Iterator[pathlib.Path]:
    """Whatever is no folder, and folders that cannot be read; links to folders are followed, not back ``above``."""
    real = folder.resolve()
    try:
        paths = [] if real in above else sorted(folder.iterdir())
    except PermissionError:
        yield folder
        return
    for path in paths:
        if path.name.startswith(".") or path.name == "__MACOSX":
            continue
        if path.is_dir():
            yield from _entries(path, above=above | {real})
        else:
            yield path


def _from_folders(root: pathlib.Path) -> Iterator[SourceFile]:
    files = list(_visible_files(root))
    flat = not any(len(path.relative_to(root).parts) > 1 for path in files)
    for path in files:
        parts = path.relative_to(root).parts
        finding = None if path.suffix.lower() in AUDIO_SUFFIXES else _unknown(path)
        if not path.is_file():
            finding = _unreadable(path)
        if len(parts) == 1 and not flat:
            yield SourceFile(path, parts[0], STRAY, problem=_stray(path))
            continue
        instrument, nameless = _instrument(root.resolve().name if flat else parts[0])
        yield SourceFile(path, "/".join(parts), instrument, problem=nameless or finding)


def _instrument(name: str) -> tuple[str, Problem | None]:
    """The instrument a name stands for; where it stands for none, `UNNAMED` and the reason."""
    try:
        return slug(name), None
    except TinyTimbreError as error:
        return UNNAMED, problem(NAMELESS, error)


def _from_manifest(root: pathlib.Path, manifest: pathlib.Path) -> list[SourceFile]:
    files = [_from_row(root, row, origin=manifest.name) for row in _read_rows(manifest)]
    listed = {file.relative for file in files}
    for file in _from_folders(root):
        if file.relative not in listed:
            files.append(dataclasses.replace(file, problem=file.problem or _unlisted(file, manifest)))
    return files


def _read_rows(manifest: pathlib.Path) -> list[dict[str, str]]:
    try:
        text = manifest.read_text(encoding="utf-8-sig")
        rows = json.loads(text) if manifest.suffix.lower() == ".json" else _csv_rows(text)
        if isinstance(rows, dict):
            rows = rows["recordings"]
        texts = [{str(key).strip().lower(): str(row[key] or "").strip() for key in row if key} for row in rows]
        return [row for row in texts if any(row.values())]
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise TinyTimbreError(
            "a manifest must be CSV with a header, or a JSON list of objects",
            got=f"{manifest}: {error}",
            remedy="see data/README.md; at least the columns file and instrument, saved as UTF-8",
        ) from error


def _csv_rows(text: str) -> list[dict[str, str]]:
    """Spreadsheets separate by semicolon or tab where the comma is the decimal point; the header tells."""
    separator = max(",;\t", key=text.partition("\n")[0].count)
    return list(csv.DictReader(io.StringIO(text), delimiter=separator))


def _from_row(root: pathlib.Path, row: dict[str, str], *, origin: str) -> SourceFile:
    if not row.get("file") or not row.get("instrument"):
        raise TinyTimbreError(
            f"every row of {origin} needs file and instrument",
            got=str(row)[:200],
            remedy="see data/README.md for the columns",
        )
    relative = pathlib.PurePosixPath(row["file"].replace("\\", "/"))
    if relative.is_absolute() or ".." in relative.parts:
        raise TinyTimbreError(
            f"files of {origin} must lie in the recordings folder",
            got=row["file"],
            remedy="give paths relative to the manifest",
        )
    path = root / relative
    instrument, nameless = _instrument(row["instrument"])
    return SourceFile(
        path,
        relative.as_posix(),
        instrument,
        source=row.get("source", ""),
        licence=row.get("licence") or row.get("license", ""),
        attribution=row.get("attribution", ""),
        take=row.get("take", ""),
        problem=nameless or (None if path.is_file() else _missing(path, origin)),
    )


def _unknown(path: pathlib.Path) -> Problem:
    error = TinyTimbreError(
        "only audio files and texts about them belong into the recordings folder",
        got=path.name,
        remedy="remove it, or export it as wav or flac",
    )
    return problem("unknown-file", error)


def _unreadable(path: pathlib.Path) -> Problem:
    error = TinyTimbreError(
        "a recording must be a file that can be read",
        got=path.name,
        cause="a link to what is gone, a pipe, or a folder without permission",
        remedy="put the file itself there, or remove it",
    )
    return problem("unreadable", error)


def _stray(path: pathlib.Path) -> Problem:
    error = TinyTimbreError(
        "where instruments have folders, every recording lies in one",
        got=f"{path.name} lies beside the folders",
        remedy="move it into the folder of its instrument",
    )
    return problem(STRAY, error)


def _missing(path: pathlib.Path, origin: str) -> Problem:
    error = TinyTimbreError(
        f"every file that {origin} lists must exist", got=path.name, remedy="add the file, or remove its row"
    )
    return problem("missing", error)


def _unlisted(file: SourceFile, manifest: pathlib.Path) -> Problem:
    error = TinyTimbreError(
        f"a recording that {manifest.name} does not list belongs to the instrument its folder names",
        got=f"{file.relative}: taken as {file.instrument}, without licence and attribution",
        remedy=f"add a row to {manifest.name}",
    )
    return problem("unlisted", error, fatal=False)
