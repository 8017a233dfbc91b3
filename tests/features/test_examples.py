from __future__ import annotations

import pathlib

import numpy as np
import pytest

from tinytimbre.errors import TinyTimbreError
from tinytimbre.features.examples import (
    TakeFeatures,
    from_example,
    iter_features,
    read_features,
    split_dir,
    to_example,
    write_split,
)

FIELDS = ("recording_id", "take_id", "instrument", "audio", "f0_hz", "f0_confidence", "loudness_db", "rms_energy_db")


def take(recording_id: str, *, instrument: str = "violin", frames: int = 7, hop: int = 4) -> TakeFeatures:
    rng = np.random.default_rng(int(recording_id, 16))
    curves = rng.uniform(0.1, 1, (4, frames)).astype(np.float32)
    audio = rng.uniform(-1, 1, frames * hop).astype(np.float32)
    return TakeFeatures(recording_id, recording_id, instrument, audio, *curves)


def assert_same(a: TakeFeatures, b: TakeFeatures) -> None:
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


@pytest.mark.parametrize("frames", [0, 1, 100])
def test_round_trip(frames: int) -> None:
    original = take("1", frames=frames)
    restored = from_example(to_example(original))
    assert_same(original, restored)
    assert restored.audio.dtype == np.float32
    assert restored.hop == (4 if frames else 0)


def test_tensorflow_reads_what_we_write(tmp_path: pathlib.Path) -> None:
    import tensorflow as tf

    original = take("2")
    write_split([original], features_dir=tmp_path, split="train")
    files = [str(path) for path in split_dir(tmp_path, split="train").iterdir()]
    (record,) = list(tf.data.TFRecordDataset(files, compression_type="GZIP"))
    parsed = tf.io.parse_single_example(record, {"f0_hz": tf.io.FixedLenFeature([7], tf.float32)})
    np.testing.assert_array_equal(parsed["f0_hz"], original.f0_hz)


def test_splits_by_instrument(tmp_path: pathlib.Path) -> None:
    takes = [take("b"), take("a"), take("c", instrument="flute")]
    assert write_split(takes, features_dir=tmp_path, split="train") == {"violin": 2, "flute": 1}
    names = sorted(path.name for path in (tmp_path / "Split-train").iterdir())
    assert names == ["flute-00000-of-00001.tfrecord.gz", "violin-00000-of-00001.tfrecord.gz"]
    assert [t.recording_id for t in read_features(tmp_path, split="train")] == ["c", "a", "b"]
    assert [t.recording_id for t in read_features(tmp_path, split="train", instrument="violin")] == ["a", "b"]
    assert read_features(tmp_path, split="test", instrument="violin") == []


def test_several_shards_are_read(tmp_path: pathlib.Path) -> None:
    write_split([take("a")], features_dir=tmp_path, split="train")
    folder = split_dir(tmp_path, split="train")
    (folder / "violin-00000-of-00001.tfrecord.gz").rename(folder / "violin-00000-of-00002.tfrecord.gz")
    write_split([take("b")], features_dir=tmp_path, split="train")
    (folder / "violin-00000-of-00001.tfrecord.gz").rename(folder / "violin-00001-of-00002.tfrecord.gz")
    assert [t.recording_id for t in iter_features(tmp_path, split="train")] == ["a", "b"]


def test_missing_instrument_is_an_error(tmp_path: pathlib.Path) -> None:
    write_split([take("a")], features_dir=tmp_path, split="train")
    with pytest.raises(TinyTimbreError, match="oboe"):
        read_features(tmp_path, split="train", instrument="oboe")


def test_damaged_file_is_an_error(tmp_path: pathlib.Path) -> None:
    write_split([take("a", frames=500)], features_dir=tmp_path, split="train")
    (path,) = split_dir(tmp_path, split="train").iterdir()
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(TinyTimbreError, match="whole"):
        read_features(tmp_path, split="train")


@pytest.mark.parametrize("garbage", [b"", b"\xff\xff\xff", b"not an example"])
def test_garbage_is_no_example(garbage: bytes) -> None:
    with pytest.raises(TinyTimbreError):
        from_example(garbage)


def test_curves_of_unequal_length_are_refused() -> None:
    with pytest.raises(ValueError, match="one length"):
        TakeFeatures("a", "a", "violin", np.zeros(8), np.ones(2), np.ones(2), np.ones(3), np.ones(2))
