"""Publishing: a bundle becomes ``<to>/<instrument>/<version>/``, whole or not at all.

    place = publish_bundle(folder, card=text, to="published", instrument="violin")    # published/violin/0001-3f9c0a21b4

A version is ``<counter>-<digest of all files>``, so versions sort by age and the same content is published once.
The folder is prepared next to its place and renamed into it; ``index.json`` is rebuilt from what lies on disk and
replaced last, so whatever a crash left behind, the next publishing mends it. For object stores, which rename nothing,
see `tinytimbre.export.publish_objects`.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import pathlib
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping

from tinytimbre.durable import sync, write_whole
from tinytimbre.errors import TinyTimbreError
from tinytimbre.export.bundle import BUNDLE_FILES, validate_bundle
from tinytimbre.export.publish_objects import publish_files
from tinytimbre.export.published_index import (
    CARD_FILE,
    INDEX_FILE,
    Entry,
    Files,
    Index,
    composed,
    digest_of,
    entry_of,
    index_text,
    next_version,
    parsed,
    sorted_versions,
)
from tinytimbre.export.settings import BundleSettings, read_settings
from tinytimbre.storage import ObjectStore, open_storage

LOCK_FILE, INCOMING = ".lock", ".incoming-"
# A name becomes a folder and a part of a URL.
INSTRUMENT = re.compile(r"^\w[\w .+-]*$")


def publish_bundle(
    bundle_dir: str | pathlib.Path,
    *,
    card: str,
    to: str | pathlib.Path,
    instrument: str,
    extra_files: Mapping[str, str | pathlib.Path] | None = None,
) -> str:
    """Publishes a bundle and makes it the instrument's latest; gives where: a path, or an address.

    Content that is there already keeps its version. Several processes may publish to one place.

    Args:
        bundle_dir: a whole bundle, of this instrument.
        card: text of card.md.
        to: the place of all instruments: a folder, made where it does not exist, or an address of an object store.
        instrument: as in the bundle's settings.
        extra_files: path inside the version's folder ("samples/take3.flac") -> file to copy.

    Raises:
        TinyTimbreError: the bundle is not whole or of another instrument, or the place cannot be written.
    """
    settings = validate_bundle(bundle_dir)
    _check_instrument(instrument, settings)
    files, storage = _contents(pathlib.Path(bundle_dir), card=card, extra_files=extra_files or {}), open_storage(to)
    if isinstance(storage, ObjectStore):
        version = publish_files(files, store=storage, instrument=instrument)
    else:
        version = _publish_to_folder(files, pathlib.Path(to), instrument=instrument)
    return f"{storage.address}/{instrument}/{version}"


def read_index(to: str | pathlib.Path) -> Index:
    """``index.json``: {"format_version", "instruments": {name: {"latest", "versions": [...]}}}; empty if none.

    Each version has ``version``, ``bytes`` (model.json, weights.bin and settings.json), ``trial_id``, ``sweep``
    and ``quantisation``.
    """
    try:
        return parsed(open_storage(to).read(INDEX_FILE))
    except OSError:
        return parsed(None)  # it is rebuilt from the folders


def publish_alone(bundle_dir: str | pathlib.Path, *, card: str, to: pathlib.Path, instrument: str) -> pathlib.Path:
    """As `publish_bundle` to a folder, of which the instrument's other versions are removed; gives the version's."""
    _check_instrument(instrument, validate_bundle(bundle_dir))
    files = _contents(pathlib.Path(bundle_dir), card=card, extra_files={})
    return to / instrument / _publish_to_folder(files, to, instrument=instrument, alone=True)


def _publish_to_folder(files: Files, to: pathlib.Path, *, instrument: str, alone: bool = False) -> str:
    try:
        with _locked(to):
            version = _place(files, to / instrument)
            # Until the index names the new one, the old ones stay.
            _write_index(to, instrument=instrument, published=version)
            if alone:
                _remove_others(to / instrument, version=version)
                _write_index(to, instrument=instrument, published=version)
    except OSError as error:
        raise _not_writable(error, to) from error
    return version


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


def _place(files: Files, folder: pathlib.Path) -> str:
    """Puts the files into a version of their own, or finds the one that has them."""
    version, there = next_version(_versions(folder), digest=digest_of(files))
    if there:
        return version
    incoming = pathlib.Path(tempfile.mkdtemp(prefix=INCOMING, dir=folder.parent))
    try:
        for name, data in files.items():
            write_whole(incoming / name, data)
        incoming.chmod(0o755)  # mkdtemp makes it private
        folder.mkdir(exist_ok=True)
        incoming.rename(folder / version)
        sync(folder)
    except BaseException:
        shutil.rmtree(incoming, ignore_errors=True)
        raise
    return version


def _remove_others(folder: pathlib.Path, *, version: str) -> None:
    for other in _versions(folder):
        if other != version:
            shutil.rmtree(folder / other)


def _versions(folder: pathlib.Path) -> list[str]:
    """The versions of an instrument, oldest first."""
    return sorted_versions(path.name for path in folder.glob("*-*") if path.is_dir())


def _write_index(to: pathlib.Path, *, instrument: str, published: str) -> None:
    folders = [path for path in to.iterdir() if path.is_dir() and not path.name.startswith(".")]
    versions = {folder.name: _versions(folder) for folder in folders}
    index = composed(read_index(to), versions, published=(instrument, published), entry=lambda *at: _entry(to, *at))
    write_whole(to / INDEX_FILE, index_text(index))
    sync(to)


def _entry(to: pathlib.Path, instrument: str, version: str) -> Entry:
    folder = to / instrument / version
    sizes = {name: (folder / name).stat().st_size for name in BUNDLE_FILES}
    return entry_of(version, sizes=sizes, settings=read_settings(folder))


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
