"""The features of one recording as a value, as a ``tf.train.Example`` and as files.

Layout of a Features artifact: ``<dir>/Split-<split>/<instrument>-<shard>-of-<shards>.tfrecord.gz``. Every
example is a whole recording: float lists ``audio``, ``f0_hz``, ``f0_confidence``, ``loudness_db``,
``rms_energy_db`` (names as ddsp has them) and byte strings ``recording_id``, ``take_id``, ``instrument``.

TensorFlow is imported by the functions that need it, and no TensorFlow op runs: a process that has read
features can still be forked.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import pathlib
import struct
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

import numpy as np

from tinytimbre.errors import TinyTimbreError

TEXTS = ("recording_id", "take_id", "instrument")
CURVES = ("f0_hz", "f0_confidence", "loudness_db", "rms_energy_db")
SPLITS = ("train", "validation", "test")


@dataclasses.dataclass(frozen=True, eq=False)
class TakeFeatures:
    """One recording with its control features on ``T`` frames; frame ``i`` is centred at sample ``i * hop``.

    Attributes:
        audio: float32 [T * hop], in [-1, 1].
        f0_hz: float32 [T], always > 0 (interpolated through unvoiced frames, held at the ends).
        f0_confidence: float32 [T], in [0, 1].
        loudness_db: float32 [T], >= -80, A-weighted; ddsp's scale, on which loud music lies a little above 0.
        rms_energy_db: float32 [T], >= -80; 0 is a square wave of full scale.
    """

    recording_id: str
    take_id: str
    instrument: str
    audio: np.ndarray
    f0_hz: np.ndarray
    f0_confidence: np.ndarray
    loudness_db: np.ndarray
    rms_energy_db: np.ndarray

    def __post_init__(self) -> None:
        lengths = {name: len(getattr(self, name)) for name in CURVES}
        if len(set(lengths.values())) != 1 or (self.n_frames and len(self.audio) % self.n_frames):
            raise ValueError(f"curves must have one length that divides the audio's {len(self.audio)}: {lengths}")

    @property
    def n_frames(self) -> int:
        """``T``."""
        return len(self.f0_hz)

    @property
    def hop(self) -> int:
        """Samples a frame; 0 for an empty recording."""
        return len(self.audio) // self.n_frames if self.n_frames else 0


def to_example(features: TakeFeatures) -> bytes:
    """The features as a serialised ``tf.train.Example``."""
    from tensorflow.core.example import example_pb2

    example = example_pb2.Example()
    for name in TEXTS:
        example.features.feature[name].bytes_list.value.append(getattr(features, name).encode())
    for name in ("audio", *CURVES):
        values = np.ascontiguousarray(getattr(features, name), np.float32)
        example.features.feature[name].float_list.value.extend(values)
    return example.SerializeToString(deterministic=True)


def from_example(serialised: bytes) -> TakeFeatures:
    """Inverse of `to_example`; every array comes back bit for bit.

    Raises:
        TinyTimbreError: not an example that `to_example` wrote.
    """
    from google.protobuf.message import DecodeError
    from tensorflow.core.example import example_pb2

    try:
        feature = example_pb2.Example.FromString(serialised).features.feature
        fields: dict[str, Any] = {name: feature[name].bytes_list.value[0].decode() for name in TEXTS}
        for name in ("audio", *CURVES):
            fields[name] = np.array(feature[name].float_list.value, np.float32)
        return TakeFeatures(**fields)
    except (DecodeError, IndexError, ValueError) as error:
        raise TinyTimbreError(
            "a features file must hold examples written by the FeatureExtractor",
            got=f"{len(serialised)} bytes that are none: {error}",
            remedy="delete the Features artifact and run again",
        ) from error


def shard_name(instrument: str, *, shard: int = 0, shards: int = 1) -> str:
    """File name of one shard of an instrument inside its split's folder."""
    return f"{instrument}-{shard:05d}-of-{shards:05d}.tfrecord.gz"


def split_dir(features_dir: str | pathlib.Path, *, split: str) -> pathlib.Path:
    """Folder of a split, as TFX names it."""
    return pathlib.Path(features_dir) / f"Split-{split}"


def write_split(takes: Iterable[TakeFeatures], *, features_dir: str | pathlib.Path, split: str) -> dict[str, int]:
    """Writes the takes of a split, one file per instrument, holding one take at a time.

    A file appears whole or not at all; takes keep their order.

    Returns:
        Takes written per instrument.
    """
    import tensorflow as tf

    folder = split_dir(features_dir, split=split)
    folder.mkdir(parents=True, exist_ok=True)
    options = tf.io.TFRecordOptions(compression_type="GZIP", compression_level=1)
    counts: dict[str, int] = {}
    writers: dict[str, tf.io.TFRecordWriter] = {}
    with contextlib.ExitStack() as stack:
        for take in takes:
            if take.instrument not in writers:
                partial = str(folder / f".{shard_name(take.instrument)}.partial")
                writers[take.instrument] = stack.enter_context(tf.io.TFRecordWriter(partial, options))
            writers[take.instrument].write(to_example(take))
            counts[take.instrument] = counts.get(take.instrument, 0) + 1
    for instrument in counts:
        name = shard_name(instrument)
        (folder / f".{name}.partial").replace(folder / name)
    return counts


def read_features(features_dir: str | pathlib.Path, *, split: str, instrument: str | None = None) -> list[TakeFeatures]:
    """All takes of a split (of one instrument, if named), sorted by instrument and recording id.

    Raises:
        TinyTimbreError: the artifact has no such split or the instrument is in none of its splits.
    """
    takes = iter_features(features_dir, split=split, instrument=instrument)
    return sorted(takes, key=lambda take: (take.instrument, take.recording_id))


def iter_features(
    features_dir: str | pathlib.Path, *, split: str, instrument: str | None = None
) -> Iterator[TakeFeatures]:
    """As `read_features`, one take at a time, in the order of the files."""
    for path in _shards(pathlib.Path(features_dir), split=split, instrument=instrument):
        with gzip.open(path, "rb") as file:
            yield from map(from_example, _records(file, path=path))


def _shards(features_dir: pathlib.Path, *, split: str, instrument: str | None) -> list[pathlib.Path]:
    """Files to read; an instrument may be absent from one split, not from all of them."""
    pattern = f"{instrument or '*'}-?????-of-?????.tfrecord.gz"
    if not any(features_dir.glob(f"Split-*/{pattern}")):
        raise TinyTimbreError(
            "features must have been extracted before they are read",
            got=f"no file {pattern} under {features_dir}",
            cause="the instrument's name is wrong, or extraction has not run" if instrument else "",
            remedy="run the pipeline up to FeatureExtractor",
        )
    return sorted(split_dir(features_dir, split=split).glob(pattern))


def _records(file: BinaryIO | gzip.GzipFile, *, path: pathlib.Path) -> Iterator[bytes]:
    """Payloads of a TFRecord file: length (uint64), its checksum, payload, its checksum (gzip checks the whole)."""
    try:
        while header := file.read(12):
            (length,) = struct.unpack("<Q", header[:8])
            yield file.read(length + 4)[:length]
    except (EOFError, gzip.BadGzipFile, struct.error) as error:
        raise TinyTimbreError(
            "a features file must be whole", got=f"{path}: {error}", remedy="delete the Features artifact and run again"
        ) from error
