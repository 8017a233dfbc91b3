"""What ``index.json`` of a place with published models says, and how versions are named: wherever they lie."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from tinytimbre.export.bundle import BUNDLE_FILES
from tinytimbre.export.settings import BundleSettings

INDEX_FILE, CARD_FILE = "index.json", "card.md"
INDEX_FORMAT = 1
DIGEST_CHARACTERS = 10
VERSION = re.compile(rf"^(?P<count>\d{{4,}})-(?P<digest>[0-9a-f]{{{DIGEST_CHARACTERS}}})$")
Files = dict[str, bytes]
Index = dict[str, Any]
Entry = dict[str, Any]


def digest_of(files: Files) -> str:
    """Of names, lengths and contents."""
    digest = hashlib.sha256()
    for name, data in sorted(files.items()):
        digest.update(f"{len(name)}:{name}:{len(data)}:".encode() + data)
    return digest.hexdigest()[:DIGEST_CHARACTERS]


def sorted_versions(names: Iterable[str]) -> list[str]:
    """Those of the names that are versions, oldest first."""
    return sorted((name for name in names if VERSION.match(name)), key=_count)


def next_version(versions: Sequence[str], *, digest: str) -> tuple[str, bool]:
    """The version that has this content and True, or the one to make for it and False."""
    for version in versions:
        if version.endswith(f"-{digest}"):
            return version, True
    return f"{1 + max(map(_count, versions), default=0):04d}-{digest}", False


def parsed(content: bytes | None) -> Index:
    """An index from its file; empty if there is none or it is damaged: it is made anew from what lies there."""
    try:
        index: Index = json.loads(content or b"")
        return index if isinstance(index.get("instruments"), dict) else _empty()
    except (ValueError, AttributeError):
        return _empty()


def index_text(index: Index) -> bytes:
    """Content of the file."""
    return (json.dumps(index, indent=1, ensure_ascii=False) + "\n").encode()


def composed(
    old: Index,
    versions: Mapping[str, Sequence[str]],
    *,
    published: tuple[str, str],
    entry: Callable[[str, str], Entry],
) -> Index:
    """The index of what lies there.

    Args:
        old: what it said before.
        versions: by instrument all whole versions, oldest first.
        published: instrument and version that becomes its latest.
        entry: says what is listed of an instrument's version.
    """
    instruments = {}
    for name, own in sorted(versions.items()):
        if own:
            latest = published[1] if name == published[0] else _latest(own, old["instruments"].get(name, {}))
            instruments[name] = {"latest": latest, "versions": [entry(name, version) for version in own]}
    return {**_empty(), "instruments": instruments}


def entry_of(version: str, *, sizes: Mapping[str, int], settings: BundleSettings) -> Entry:
    """What the index lists of a version; `sizes` of its files in bytes."""
    return {
        "version": version,
        "bytes": sum(sizes[name] for name in BUNDLE_FILES),
        "trial_id": settings.trial_id,
        "sweep": settings.sweep,
        "quantisation": settings.quantisation,
    }


def _empty() -> Index:
    return {"format_version": INDEX_FORMAT, "instruments": {}}


def _count(version: str) -> int:
    return int(version.partition("-")[0])


def _latest(versions: Sequence[str], old: Mapping[str, Any]) -> str:
    """A version that the index never listed is what a publisher was killed over; else what the index says."""
    listed = {entry["version"] for entry in old.get("versions", [])}
    if versions[-1] not in listed:
        return versions[-1]
    return next((version for version in versions if version == old.get("latest")), versions[-1])
