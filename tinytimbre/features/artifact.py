"""The two JSON files of a Features artifact: ``features.json`` (what it holds) and ``statistics.json``."""

from __future__ import annotations

import hashlib
import json
import pathlib
from collections.abc import Iterable, Mapping
from typing import TypeVar

import pydantic

from tinytimbre.config import FeatureConfig
from tinytimbre.durable import write_whole
from tinytimbre.errors import TinyTimbreError
from tinytimbre.features.examples import iter_features
from tinytimbre.features.pitch import get_tracker
from tinytimbre.features.statistics import InstrumentStatistics, instrument_statistics

Content = TypeVar("Content")

FEATURES_VERSION = 1
"""Raise it with every change that alters what is extracted: fingerprints, and so trial ids, follow it."""

INDEX_FILE = "features.json"
STATISTICS_FILE = "statistics.json"


class FeatureIndex(pydantic.BaseModel):
    """Contents of ``features.json``; ``takes`` counts recordings as instrument → split → number."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    fingerprints: dict[str, str]
    frame_rate_hz: float
    sample_rate_hz: int
    f0_tracker: str
    takes: dict[str, dict[str, int]]


def fingerprint(recordings: Iterable[tuple[str, str]], *, sample_rate_hz: int, config: FeatureConfig) -> str:
    """Digest of everything that can change the features of one instrument.

    Args:
        recordings: ``(recording_id, split)`` of every accepted recording of the instrument, in any order.
        sample_rate_hz: of the audio the features were taken from.
        config: frame rate and tracker.

    Returns:
        64 hexadecimal digits (SHA-256); a recording's id already digests its bytes.
    """
    content = {
        "features_version": FEATURES_VERSION,
        "recordings": sorted(recordings),
        "sample_rate_hz": sample_rate_hz,
        "frame_rate_hz": float(config.frame_rate_hz),
        "f0_tracker": config.f0_tracker,
        "f0_tracker_version": get_tracker(config.f0_tracker).version,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def index_features(
    recordings: Mapping[str, Iterable[tuple[str, str]]], *, sample_rate_hz: int, config: FeatureConfig
) -> FeatureIndex:
    """The index of the features of several instruments: instrument → ``(recording_id, split)`` pairs."""
    pairs = {instrument: sorted(each) for instrument, each in sorted(recordings.items())}
    return FeatureIndex(
        fingerprints={
            instrument: fingerprint(each, sample_rate_hz=sample_rate_hz, config=config)
            for instrument, each in pairs.items()
        },
        frame_rate_hz=config.frame_rate_hz,
        sample_rate_hz=sample_rate_hz,
        f0_tracker=config.f0_tracker,
        takes={instrument: _count_splits(split for _, split in each) for instrument, each in pairs.items()},
    )


def save_index(index: FeatureIndex, features_dir: str | pathlib.Path) -> None:
    """Writes ``features.json``, whole or not at all."""
    _write(pathlib.Path(features_dir) / INDEX_FILE, index.model_dump())


def load_index(features_dir: str | pathlib.Path) -> FeatureIndex:
    """Reads ``features.json``.

    Raises:
        TinyTimbreError: missing, or not what `save_index` writes.
    """
    return _read(pathlib.Path(features_dir) / INDEX_FILE, pydantic.TypeAdapter(FeatureIndex))


def save_statistics(features_dir: str | pathlib.Path, *, instruments: Iterable[str], frame_rate_hz: float) -> None:
    """Computes the statistics of the train split of each instrument, take by take; writes ``statistics.json``.

    Raises:
        TinyTimbreError: an instrument has no training take or not one frame with a clear pitch.
    """
    statistics = {
        instrument: instrument_statistics(
            iter_features(features_dir, split="train", instrument=instrument), frame_rate_hz=frame_rate_hz
        ).model_dump()
        for instrument in sorted(instruments)
    }
    _write(pathlib.Path(features_dir) / STATISTICS_FILE, statistics)


def load_statistics(features_dir: str | pathlib.Path) -> dict[str, InstrumentStatistics]:
    """Reads ``statistics.json``: instrument → statistics.

    Raises:
        TinyTimbreError: missing, or not what `save_statistics` writes.
    """
    adapter = pydantic.TypeAdapter(dict[str, InstrumentStatistics])
    return _read(pathlib.Path(features_dir) / STATISTICS_FILE, adapter)


def _count_splits(splits: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for split in splits:
        counts[split] = counts.get(split, 0) + 1
    return dict(sorted(counts.items()))


def _write(path: pathlib.Path, content: object) -> None:
    write_whole(path, (json.dumps(content, indent=1, sort_keys=True) + "\n").encode())


def _read(path: pathlib.Path, adapter: pydantic.TypeAdapter[Content]) -> Content:
    try:
        return adapter.validate_json(path.read_bytes())
    except (OSError, pydantic.ValidationError) as error:
        raise TinyTimbreError(
            "a Features artifact must hold readable JSON files",
            got=f"{path}: {error}",
            remedy="delete the Features artifact and run again",
        ) from error
