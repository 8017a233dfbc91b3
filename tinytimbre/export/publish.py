"""Publishing: a bundle becomes ``<to>/<instrument>/<version>/``, whole or not at all.

    path = publish_bundle(folder, card=text, to="published", instrument="violin")     # published/violin/0001-3f9c0a21b4

A version is ``<counter>-<digest of all files>``, so versions sort by age and the same content is published once.
The folder is prepared next to its place and renamed into it; ``index.json`` is rebuilt from what lies on disk and
replaced last, so whatever a crash left behind, the next publishing mends it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import pathlib
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any

from tinytimbre.durable import sync, write_whole
from tinytimbre.errors import TinyTimbreError
from tinytimbre.export.bundle import BUNDLE_FILES, validate_bundle
from tinytimbre.export.settings import BundleSettings, read_settings

INDEX_FILE, CARD_FILE, LOCK_FILE = "index.json", "card.md", ".lock"
INCOMING = ".incoming-"
INDEX_FORMAT = 1
DIGEST_CHARACTERS = 10
VERSION = re.compile(rf"^(?P<count>\d{{4,}})-(?P<digest>[0-9a-f]{{{DIGEST_CHARACTERS}}})$")
# A name becomes a folder and a part of a URL.
INSTRUMENT = re.compile(r"^\w[\w .+-]*$")
Files = dict[str, bytes]
Index = dict[str, Any]


def publish_bundle(
    bundle_dir: str | pathlib.Path,
    *,
    card: str,
    to: str | pathlib.Path,
    instrument: str,
    extra_files: Mapping[str, str | pathlib.Path] | None = None,
    alone: bool = False,
) -> pathlib.Path:
    """Publishes a bundle and makes it the instrument's latest; gives its folder.

    Content that is there already keeps its version. Several processes may publish to one place.

    Args:
        bundle_dir: a whole bundle, of this instrument.
        card: text of card.md.
        to: the place of all instruments; made where it does not exist.
        instrument: as in the bundle's settings.
        extra_files: path inside the version's folder ("samples/take3.flac") -> file to copy.
        alone: the instrument's other versions are removed.

    Raises:
        TinyTimbreError: the bundle is not whole or of another instrument, or the place cannot be written.
    """
    settings = validate_bundle(bundle_dir)
    _check_instrument(instrument, settings)
    to = pathlib.Path(to)
    try:
        files = _contents(pathlib.Path(bundle_dir), card=card, extra_files=extra_files or {})
        with _locked(to):
            version = _place(files, to / instrument)
            # Until the index names the new one, the old ones stay.
            _write_index(to, published=version)
            if alone:
                _remove_others(version)
                _write_index(to, published=version)
    except OSError as error:
        raise _not_writable(error, to) from error
    return version


def read_index(to: str | pathlib.Path) -> Index:
    """``index.json``: {"format_version", "instruments": {name: {"latest", "versions": [...]}}}; empty if none.

    Each version has ``version``, ``bytes`` (model.json, weights.bin and settings.json), ``trial_id``, ``sweep``
    and ``quantisation``.
    """
    try:
        index = json.loads((pathlib.Path(to) / INDEX_FILE).read_text(encoding="utf-8"))
        return index if isinstance(index.get("instruments"), dict) else _empty_index()
    except (OSError, ValueError, AttributeError):
        return _empty_index()  # it is rebuilt from the folders


def _empty_index() -> Index:
    return {"format_version": INDEX_FORMAT, "instruments": {}}


def _check_instrument(instrument: str, settings: BundleSettings) -> None:
    if INSTRUMENT.fullmatch(instrument) is None:
        raise TinyTimbreError(
            "an instrument's name must be usable as a folder: letters, digits, space and . _ + -",
            got=repr(instrument),
        )
    if settings.instrument != instrument:
        raise TinyTimbreError(
            "a model is published under the instrument it was trained on",
            got=f"a model of {settings.instrument!r} as {instrument!r}",
        )


def _contents(bundle_dir: pathlib.Path, *, card: str, extra_files: Mapping[str, str | pathlib.Path]) -> Files:
    files = {name: (bundle_dir / name).read_bytes() for name in BUNDLE_FILES}
    files[CARD_FILE] = card.encode()
    for name, source in extra_files.items():
        inside = pathlib.PurePosixPath(name)
        if inside.is_absolute() or ".." in inside.parts or name in files:
            raise ValueError(f"extra files need their own path inside the folder, got {name!r}")
        files[name] = pathlib.Path(source).read_bytes()
    return files


def _digest(files: Files) -> str:
    """Of names, lengths and contents."""
    digest = hashlib.sha256()
    for name, data in sorted(files.items()):
        digest.update(f"{len(name)}:{name}:{len(data)}:".encode() + data)
    return digest.hexdigest()[:DIGEST_CHARACTERS]


@contextlib.contextmanager
def _locked(to: pathlib.Path) -> Iterator[None]:
    """One publisher at a time; the system frees the lock of a process that dies."""
    to.mkdir(parents=True, exist_ok=True)
    with (to / LOCK_FILE).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Of a publisher that was killed: nobody else holds the lock.
        for left in to.glob(f"{INCOMING}*"):
            shutil.rmtree(left, ignore_errors=True)
        for left in to.glob(f".{INDEX_FILE}.*"):
            left.unlink()
        yield


def _place(files: Files, folder: pathlib.Path) -> pathlib.Path:
    """Puts the files into a version of their own, or finds the one that has them."""
    digest, versions = _digest(files), _versions(folder)
    for version in versions:
        if version.name.endswith(f"-{digest}"):
            return version
    count = 1 + max((int(version.name.partition("-")[0]) for version in versions), default=0)
    target = folder / f"{count:04d}-{digest}"
    incoming = pathlib.Path(tempfile.mkdtemp(prefix=INCOMING, dir=folder.parent))
    try:
        for name, data in files.items():
            write_whole(incoming / name, data)
        incoming.chmod(0o755)  # mkdtemp makes it private
        folder.mkdir(exist_ok=True)
        incoming.rename(target)
        sync(folder)
    except BaseException:
        shutil.rmtree(incoming, ignore_errors=True)
        raise
    return target


def _remove_others(version: pathlib.Path) -> None:
    for other in _versions(version.parent):
        if other != version:
            shutil.rmtree(other)


def _versions(folder: pathlib.Path) -> list[pathlib.Path]:
    """The versions of an instrument, oldest first."""
    found = [path for path in folder.glob("*-*") if path.is_dir() and VERSION.match(path.name)]
    return sorted(found, key=lambda path: int(path.name.partition("-")[0]))


def _write_index(to: pathlib.Path, *, published: pathlib.Path) -> None:
    old = read_index(to)["instruments"]
    instruments = {}
    for folder in sorted(path for path in to.iterdir() if path.is_dir() and not path.name.startswith(".")):
        versions = _versions(folder)
        if versions:
            latest = published if published.parent == folder else _latest(versions, old.get(folder.name, {}))
            instruments[folder.name] = {"latest": latest.name, "versions": [_entry(path) for path in versions]}
    text = json.dumps({**_empty_index(), "instruments": instruments}, indent=1, ensure_ascii=False) + "\n"
    write_whole(to / INDEX_FILE, text.encode())
    sync(to)


def _latest(versions: list[pathlib.Path], old: Mapping[str, Any]) -> pathlib.Path:
    """A version that the index never listed is what a publisher was killed over; else what the index says."""
    listed = {entry["version"] for entry in old.get("versions", [])}
    if versions[-1].name not in listed:
        return versions[-1]
    return next((version for version in versions if version.name == old.get("latest")), versions[-1])


def _entry(version: pathlib.Path) -> dict[str, Any]:
    settings = read_settings(version)
    return {
        "version": version.name,
        "bytes": sum((version / name).stat().st_size for name in BUNDLE_FILES),
        "trial_id": settings.trial_id,
        "sweep": settings.sweep,
        "quantisation": settings.quantisation,
    }


def _not_writable(error: OSError, to: pathlib.Path) -> TinyTimbreError:
    causes = {
        errno.ENOSPC: ("the disk is full", "free some space and publish again"),
        errno.EDQUOT: ("the disk quota is used up", "free some space and publish again"),
        errno.EACCES: ("no permission", "choose another folder or change its owner"),
        errno.EROFS: ("the disk is read-only", "choose another folder"),
        errno.ENOTDIR: ("a part of the path is a file", "choose another folder"),
        errno.EEXIST: ("a part of the path is a file", "choose another folder"),
    }
    cause, remedy = causes.get(error.errno or 0, ("", "choose another folder, or mend this one and publish again"))
    return TinyTimbreError(
        "the place to publish to must be a folder that can be written",
        got=f"{error.filename or to}: {error.strerror or error}",
        cause=cause,
        remedy=f"{remedy}; what was published before is untouched",
    )
