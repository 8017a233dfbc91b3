"""Whom to name for recordings, where their manifest does not say: ``attributions.csv`` beside it.

    files,attribution,licence
    violin/garner_*,"John Garner, Bach BWV 1002, via Musopen",CC BY 3.0

``files`` is a pattern of paths in the recordings folder; the first row that fits a file fills in what the manifest
leaves empty. What stands there travels into settings and card of every model trained on the recordings.
"""

from __future__ import annotations

import csv
import dataclasses
import fnmatch
import io
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tinytimbre.errors import TinyTimbreError

if TYPE_CHECKING:
    from tinytimbre.audio.scan import SourceFile

NAME = "attributions.csv"
FILES, FILLED = "files", ("source", "licence", "attribution")


def find_attributions(root: pathlib.Path) -> pathlib.Path | None:
    """The file of a recordings folder, whatever its case."""
    return next((path for path in sorted(root.iterdir()) if path.name.lower() == NAME and path.is_file()), None)


def attributed(files: Sequence[SourceFile], *, root: pathlib.Path) -> list[SourceFile]:
    """The same files with source, licence and attribution filled in where they were empty.

    Raises:
        TinyTimbreError: the file is no such table, or a pattern fits nothing.
    """
    path = find_attributions(root)
    if path is None:
        return list(files)
    rows = _read(path)
    for row in rows:
        if not any(_fits(file, row) for file in files):
            raise TinyTimbreError(
                f"every pattern of {path.name} must fit a recording",
                got=row[FILES],
                cause="a file that was renamed or removed, or a slip of the pen",
                remedy="correct or remove the row; patterns are paths in the recordings folder, such as violin/jane_*",
            )
    return [_filled(file, rows) for file in files]


def _read(path: pathlib.Path) -> list[dict[str, str]]:
    try:
        table = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig")))
        rows = [{str(key).strip().lower(): str(value or "").strip() for key, value in row.items()} for row in table]
    except (OSError, ValueError, csv.Error) as error:
        raise _malformed(path, str(error)) from error
    rows = [row for row in rows if any(row.values())]
    unknown = {key for row in rows for key in row} - {FILES, *FILLED}
    if unknown or not all(row.get(FILES) and row.get("attribution") for row in rows):
        raise _malformed(path, f"columns {', '.join(sorted(unknown))}" if unknown else "a row without both")
    return rows


def _malformed(path: pathlib.Path, got: str) -> TinyTimbreError:
    return TinyTimbreError(
        f"{path.name} must be CSV with the columns files and attribution, licence and source if wanted",
        got=got,
        remedy="see data/README.md; saved as UTF-8, texts with commas in quotation marks",
    )


def _fits(file: SourceFile, row: dict[str, str]) -> bool:
    return fnmatch.fnmatchcase(file.relative, row[FILES])


def _filled(file: SourceFile, rows: Sequence[dict[str, str]]) -> SourceFile:
    row = next((row for row in rows if _fits(file, row)), None)
    if row is None:
        return file
    return dataclasses.replace(
        file,
        source=file.source or row.get("source", ""),
        licence=file.licence or row.get("licence", ""),
        attribution=file.attribution or row["attribution"],
    )
