"""Publishing to an object store, which renames nothing and lets many write at once.

    <to>/.claims/<instrument>/<counter>    the digest that this number belongs to
         <instrument>/<version>/...        files of a version, its card last
         index.json                        names whole versions only

A number is claimed by making an object that must not exist; who claims the same content finds the number and writes
the same files. The index is replaced last, under the condition that nobody else has replaced it since it was read;
else it is composed again. Whatever breaks off in between, the index is the old one, and the next publishing of the
same content goes on with what is there.
"""

from __future__ import annotations

import collections
import random
import time
from collections.abc import Iterable

from tinytimbre.export.bundle import BUNDLE_FILES
from tinytimbre.export.published_index import (
    CARD_FILE,
    INDEX_FILE,
    Entry,
    Files,
    composed,
    digest_of,
    entry_of,
    index_text,
    next_version,
    parsed,
    sorted_versions,
)
from tinytimbre.export.settings import SETTINGS_FILE, parse_settings
from tinytimbre.storage import ObjectStore, StorageError

CLAIMS = ".claims"
MOST_TURNS = 100
"""Of a loop that only others' success repeats."""


def publish_files(files: Files, *, store: ObjectStore, instrument: str) -> str:
    """Makes the files the latest version of an instrument; gives its name.

    Raises:
        StorageError: the store cannot be used; what was published before is untouched.
    """
    store.require_conditions()
    version = _claim(digest_of(files), store=store, instrument=instrument)
    prefix = f"{instrument}/{version}"
    there = set(store.names(prefix))
    for name in sorted(files, key=lambda name: name == CARD_FILE):
        if f"{prefix}/{name}" not in there:
            store.write(f"{prefix}/{name}", files[name])
    _update_index(store, instrument=instrument, published=version)
    return version


def _claim(digest: str, *, store: ObjectStore, instrument: str) -> str:
    folder = f"{CLAIMS}/{instrument}"
    for turn in range(MOST_TURNS):
        claims = store.read_many(store.names(folder))
        claimed = [f"{path.rpartition('/')[2]}-{content.decode()}" for path, content in claims.items()]
        # Versions without a claim came as copies of another place.
        versions = sorted_versions({*claimed, *_versions(store.names(instrument))[instrument]})
        version, there = next_version(versions, digest=digest)
        if there or store.put(f"{folder}/{version.partition('-')[0]}", digest.encode(), expected=None):
            return version
        _make_room(turn)
    raise _crowded(store)


def _update_index(store: ObjectStore, *, instrument: str, published: str) -> None:
    for turn in range(MOST_TURNS):
        found = store.version(INDEX_FILE)
        old = parsed(store.read(INDEX_FILE))
        names = store.names()
        versions = {name: sorted_versions(own) for name, own in _versions(names).items()}
        listed = {(name, e["version"]): e for name, own in old["instruments"].items() for e in own["versions"]}

        def entry(name: str, version: str, listed: dict[tuple[str, str], Entry] = listed) -> Entry:
            return listed.get((name, version)) or _entry(store, name, version)

        index = composed(old, versions, published=(instrument, published), entry=entry)
        if store.put(INDEX_FILE, index_text(index), expected=found and found[0]):
            return
        _make_room(turn)
    raise _crowded(store)


def _versions(names: Iterable[str]) -> dict[str, set[str]]:
    """By instrument the versions whose last file is there."""
    versions: dict[str, set[str]] = collections.defaultdict(set)
    for name in names:
        instrument, _, rest = name.partition("/")
        version, _, file = rest.partition("/")
        if file == CARD_FILE and not instrument.startswith("."):
            versions[instrument].add(version)
    return versions


def _entry(store: ObjectStore, instrument: str, version: str) -> Entry:
    paths = {name: f"{instrument}/{version}/{name}" for name in BUNDLE_FILES}
    contents = store.read_many(paths.values())
    settings = parse_settings(contents.get(paths[SETTINGS_FILE], b""), path=f"{store.address}/{paths[SETTINGS_FILE]}")
    sizes = {name: len(contents.get(path, b"")) for name, path in paths.items()}
    return entry_of(version, sizes=sizes, settings=settings)


def _make_room(turn: int) -> None:
    """Publishers that met once shall not meet again."""
    time.sleep(random.uniform(0, min(2.0, 0.05 * 2**turn)))


def _crowded(store: ObjectStore) -> StorageError:
    return StorageError(
        "a publisher must get its turn",
        got=f"{MOST_TURNS} times another one was faster at {store.address}",
        remedy="publish again; what was published before is untouched",
    )
