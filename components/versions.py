"""The version of the code behind a component, for TFX's cache, which does not look at code."""

from __future__ import annotations

import hashlib
import pathlib

ROOT = pathlib.Path(__file__).resolve().parent.parent


def code_version(*packages: str) -> str:
    """Digest of the Python sources of `packages` (such as ``"tinytimbre.audio"``): twelve hexadecimal digits."""
    digest = hashlib.sha256()
    for package in sorted(packages):
        for path in _sources(ROOT.joinpath(*package.split("."))):
            digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0")
            digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def _sources(path: pathlib.Path) -> list[pathlib.Path]:
    """The files of a package, or the file of a module."""
    if not path.is_dir():
        return [path.with_suffix(".py")]
    return sorted(file for file in path.rglob("*") if file.suffix in {".py", ".mjs", ".js", ".css", ".html"})
