from __future__ import annotations

import pathlib

import numpy as np
import pytest
import soundfile

from tinytimbre.config import FeatureConfig
from tinytimbre.errors import TinyTimbreError
from tinytimbre.features.extract import extract_features
from tinytimbre.transfer.analysis import SourceFeatures, analyse, survey
from tinytimbre.transfer.blocks import iter_blocks

RATE = 16_000


def melody(secs: float = 2.3, *, rate: int = RATE) -> np.ndarray:
    seconds = np.arange(round(secs * rate)) / rate
    f0_hz = np.where(seconds % 1.0 < 0.5, 220.0, 330.0)
    cycles = (np.cumsum(f0_hz) - f0_hz) / rate
    return (0.1 * sum(np.sin(2 * np.pi * k * cycles) / k for k in range(1, 9))).astype(np.float32)


def analyse_in(audio: np.ndarray, size: int, *, hop: int = 320) -> SourceFeatures:
    blocks = [audio[start : start + size] for start in range(0, len(audio), size)]
    return analyse(blocks, peak=survey(blocks)[0], input_kind="loudness", hop=hop, sample_rate_hz=RATE)


@pytest.mark.parametrize("frame_rate_hz", [20, 50, 250])
@pytest.mark.parametrize("size", [100, 1111, 10**6])
def test_blocks_give_what_the_whole_gives(size: int, frame_rate_hz: int) -> None:
    """Frames of 512 samples overlap at 50 and 250 a second and leave gaps at 20."""
    audio = melody()
    streamed = analyse_in(audio, size, hop=RATE // frame_rate_hz)
    whole = extract_features(
        audio,
        recording_id="r",
        take_id="t",
        instrument="voice",
        sample_rate_hz=RATE,
        config=FeatureConfig(frame_rate_hz=frame_rate_hz),
    )
    assert streamed.n_samples == len(audio)
    # The same windows of the same samples; only matrix products of other sizes sum in another order.
    np.testing.assert_allclose(streamed.level_db, whole.loudness_db, atol=1e-3)
    np.testing.assert_allclose(streamed.rms_energy_db, whole.rms_energy_db, atol=1e-3)
    np.testing.assert_allclose(streamed.f0_hz, whole.f0_hz, rtol=1e-4)
    np.testing.assert_allclose(streamed.f0_confidence, whole.f0_confidence, atol=1e-3)


def test_file_at_another_rate_with_two_channels(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "stereo.flac"
    stereo = melody(rate=44_100)
    soundfile.write(path, np.stack([stereo, 0.5 * stereo], axis=1), 44_100)
    audio = np.concatenate(list(iter_blocks(path, sample_rate_hz=RATE)))
    assert audio.dtype == np.float32
    assert abs(len(audio) - round(2.3 * RATE)) <= 2
    inner = slice(1000, 7000)
    # Away from note changes the melody is band-limited: only the resampler's ripple and 16 bits remain.
    np.testing.assert_allclose(audio[inner], 0.75 * melody()[inner], atol=2e-3)


def test_missing_file_and_no_audio(tmp_path: pathlib.Path) -> None:
    with pytest.raises(TinyTimbreError, match="exists"):
        list(iter_blocks(tmp_path / "none.wav", sample_rate_hz=RATE))
    (tmp_path / "text.wav").write_text("this is no sound" * 100)
    with pytest.raises(TinyTimbreError, match="readable audio"):
        list(iter_blocks(tmp_path / "text.wav", sample_rate_hz=RATE))
