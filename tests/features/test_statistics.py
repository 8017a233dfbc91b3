from __future__ import annotations

import pathlib

import numpy as np
import pytest

from tinytimbre.config import FeatureConfig
from tinytimbre.errors import TinyTimbreError
from tinytimbre.features import artifact
from tinytimbre.features.examples import TakeFeatures, write_split
from tinytimbre.features.scaling import midi_to_hz
from tinytimbre.features.statistics import instrument_statistics


def take(midi: list[float], *, confidence: float = 0.95, energy_db: float = -20.0) -> TakeFeatures:
    frames = len(midi)
    curve = np.ones(frames, np.float32)
    f0_hz = midi_to_hz(np.array(midi)).astype(np.float32)
    level = energy_db * curve
    return TakeFeatures("r", "t", "violin", np.zeros(4 * frames, np.float32), f0_hz, confidence * curve, level, level)


def test_numbers_by_hand() -> None:
    statistics = instrument_statistics([take([60, 62, 64]), take([66, 68])], frame_rate_hz=50)
    assert statistics.takes == 2
    assert statistics.seconds == statistics.voiced_seconds == pytest.approx(0.1)
    assert statistics.pitch_midi.mean == pytest.approx(64, abs=1e-3)  # float32 Hz: about 1e-6 of a semitone
    assert statistics.pitch_midi.std == pytest.approx(8**0.5, abs=1e-3)
    assert statistics.pitch_midi.quantiles == pytest.approx(
        {"p05": 60.4, "p25": 62, "p50": 64, "p75": 66, "p95": 67.6}, abs=1e-3
    )
    assert statistics.rms_energy_db.min == statistics.rms_energy_db.max == -20


def test_doubtful_and_silent_frames_do_not_count() -> None:
    takes = [take([60, 60]), take([90] * 50, confidence=0.4), take([30] * 50, energy_db=-70)]
    statistics = instrument_statistics(takes, frame_rate_hz=50)
    assert statistics.pitch_midi.min == statistics.pitch_midi.max == pytest.approx(60, abs=1e-3)
    assert statistics.voiced_seconds == pytest.approx(0.04)


def test_nothing_voiced_names_the_instrument() -> None:
    with pytest.raises(TinyTimbreError, match="violin"):
        instrument_statistics([take([60] * 9, confidence=0.2)], frame_rate_hz=50)
    with pytest.raises(TinyTimbreError, match="at least one training take"):
        instrument_statistics([], frame_rate_hz=50)


def test_statistics_file_round_trip(tmp_path: pathlib.Path) -> None:
    write_split([take([60, 61])], features_dir=tmp_path, split="train")
    artifact.save_statistics(tmp_path, instruments=["violin"], frame_rate_hz=50)
    expected = instrument_statistics([take([60, 61])], frame_rate_hz=50)
    assert artifact.load_statistics(tmp_path) == {"violin": expected}


def test_index_round_trip_and_counts(tmp_path: pathlib.Path) -> None:
    recordings = {"violin": [("b", "train"), ("a", "test"), ("c", "train")]}
    index = artifact.index_features(recordings, sample_rate_hz=16_000, config=FeatureConfig())
    artifact.save_index(index, tmp_path)
    assert artifact.load_index(tmp_path) == index
    assert index.takes == {"violin": {"test": 1, "train": 2}}


def test_missing_files_are_an_error(tmp_path: pathlib.Path) -> None:
    with pytest.raises(TinyTimbreError, match=r"features\.json"):
        artifact.load_index(tmp_path)
    (tmp_path / "statistics.json").write_text("{")
    with pytest.raises(TinyTimbreError, match=r"statistics\.json"):
        artifact.load_statistics(tmp_path)


def test_fingerprint_follows_what_matters_and_nothing_else() -> None:
    recordings = [("a", "train"), ("b", "test")]
    config = FeatureConfig()

    def of(pairs: list[tuple[str, str]], *, rate: int = 16_000, config: FeatureConfig = config) -> str:
        return artifact.fingerprint(pairs, sample_rate_hz=rate, config=config)

    assert of(recordings) == of(recordings[::-1])
    others = [
        of([("a", "test"), ("b", "train")]),
        of([*recordings, ("c", "train")]),
        of(recordings, rate=48_000),
        of(recordings, config=FeatureConfig(frame_rate_hz=250)),
        of(recordings, config=FeatureConfig(f0_tracker="pyin")),
    ]
    assert len({of(recordings), *others}) == 6
