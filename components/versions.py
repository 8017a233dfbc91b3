"""The version of the code behind a component, for TFX's cache, which does not look at code."""

from __future__ import annotations

import hashlib
import pathlib
from collections.abc import Iterable

ROOT = pathlib.Path(__file__).resolve().parent.parent


def code_version(*packages: str, files: Iterable[pathlib.Path] = ()) -> str:
    """Digest of `files` and the sources of `packages` (such as ``"tinytimbre.audio"``): twelve hexadecimal digits."""
    digest = hashlib.sha256()
    sources = [path for package in sorted(packages) for path in _sources(ROOT.joinpath(*package.split(".")))]
    for path in [*sources, *files]:
        digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0")
        digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def _sources(path: pathlib.Path) -> list[pathlib.Path]:
    """The files of a package, or the file of a module."""
    if not path.is_dir():
        return [path.with_suffix(".py")]
    return sorted(file for file in path.rglob("*") if file.suffix in {".py", ".mjs", ".js", ".css", ".html"})
