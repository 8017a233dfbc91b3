"""What the benchmark of feature extraction extracts."""

from __future__ import annotations

import pathlib

import numpy as np
import pytest
import soundfile

from benchmarks import features
from benchmarks.features import SAMPLE_RATE_HZ, measured, prepared

TAKES = [np.sin(2 * np.pi * f0_hz * np.arange(SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ) / 2 for f0_hz in (220.0, 330.0)]


def test_takes_are_repeated_until_they_last_long_enough(tmp_path: pathlib.Path) -> None:
    store, recordings = prepared(TAKES, minutes=2.5 / 60, root=tmp_path)
    audio = [soundfile.read(store.audio_path(recording))[0] for recording in recordings]
    assert [len(each) for each in audio] == [SAMPLE_RATE_HZ] * 3
    # 24 bits.
    np.testing.assert_allclose(audio[2], TAKES[0], atol=2**-23)
    assert not any(store.path(recording).is_file() for recording in recordings)


def test_every_engine_is_timed_with_one_worker_and_several(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def noted(takes: object, *, minutes: float, engine: str, workers: int) -> float:
        asked.append((engine, workers))
        return wall_secs(TAKES, minutes=minutes, engine=engine, workers=workers)

    wall_secs = features.wall_secs
    monkeypatch.setattr(features, "wall_secs", noted)
    (row,) = measured(TAKES, minutes=2 / 60, most=2, engines=["threads"])
    assert asked == [("threads", 1), ("threads", 2)]
    assert row["speed_up"] == pytest.approx(row["one_secs"] / row["several_secs"], rel=0.1)
    assert row["times_real_time"] > 0
