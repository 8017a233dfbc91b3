"""The files of a `Trials` artifact: ``results.json`` and, after promotion, ``survivors.json``."""

from __future__ import annotations

import pathlib
from collections.abc import Iterable, Sequence

import pydantic

from tinytimbre.sweep import RungResult

RESULTS = "results.json"
SURVIVORS = "survivors.json"
_RESULTS = pydantic.TypeAdapter(list[RungResult])
_IDS = pydantic.TypeAdapter(list[str])


def save_results(results: Sequence[RungResult], folder: pathlib.Path) -> None:
    """Writes the results of a rung, or of a shard of it."""
    (folder / RESULTS).write_bytes(_RESULTS.dump_json(list(results), indent=1))


def load_results(folders: Iterable[pathlib.Path]) -> list[RungResult]:
    """The results of several shards, in the order of the folders."""
    return [result for folder in folders for result in _RESULTS.validate_json((folder / RESULTS).read_bytes())]


def save_survivors(trial_ids: Sequence[str], folder: pathlib.Path) -> None:
    """Writes who goes on."""
    (folder / SURVIVORS).write_bytes(_IDS.dump_json(list(trial_ids), indent=1))


def load_survivors(folder: pathlib.Path) -> list[str]:
    """Ids of the trials that go on."""
    return _IDS.validate_json((folder / SURVIVORS).read_bytes())
