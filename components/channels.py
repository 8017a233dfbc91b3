"""Where an executor's inputs and outputs lie."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping, Sequence

from tfx.types.artifact import Artifact

Artifacts = Mapping[str, Sequence[Artifact]]

MAX_SHARDS = 64
"""Most shards a rung can have."""

MAX_MERGED = MAX_SHARDS + 1
"""Optional inputs that the promoter declares: the shards, and the finalists where it adds students to them."""


def shard_key(shard: int) -> str:
    """Name of the promoter's input for one shard."""
    return f"trials_{shard:02d}"


def only(artifacts: Artifacts, key: str) -> Artifact:
    """The one artifact of a channel; KeyError where the channel is absent, ValueError where it holds several."""
    (artifact,) = artifacts[key]
    return artifact


def folder(artifacts: Artifacts, key: str) -> pathlib.Path:
    """Directory of the one artifact of a channel."""
    return pathlib.Path(only(artifacts, key).uri)


def optional_folder(artifacts: Artifacts, key: str) -> pathlib.Path | None:
    """As `folder`, None where an optional channel is not connected."""
    return folder(artifacts, key) if artifacts.get(key) else None


def shard_folders(artifacts: Artifacts) -> list[pathlib.Path]:
    """Directories of the connected shards, in order."""
    keys = [shard_key(shard) for shard in range(MAX_MERGED)]
    return [folder(artifacts, key) for key in keys if artifacts.get(key)]
