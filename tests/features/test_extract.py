from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from tinytimbre.config import FeatureConfig
from tinytimbre.errors import TinyTimbreError
from tinytimbre.features.extract import extract_features

RATE = 16_000


def extract(audio: np.ndarray, **config: float) -> object:
    return extract_features(
        audio,
        recording_id="r",
        take_id="t",
        instrument="violin",
        sample_rate_hz=RATE,
        config=FeatureConfig(**config),
    )


@pytest.mark.parametrize("frame_rate_hz", [50, 62.5, 250])
def test_everything_lies_on_one_grid(frame_rate_hz: float) -> None:
    audio = 1.4 * np.sin(2 * np.pi * 330 * np.arange(RATE + 17) / RATE)
    features = extract(audio, frame_rate_hz=frame_rate_hz)
    hop = round(RATE / frame_rate_hz)
    assert features.hop == hop
    assert len(features.audio) == -(-len(audio) // hop) * hop
    np.testing.assert_array_equal(features.audio[: len(audio)], np.clip(audio, -1, 1).astype(np.float32))
    assert not features.audio[len(audio) :].any()
    for curve in (features.f0_hz, features.f0_confidence, features.loudness_db, features.rms_energy_db):
        assert curve.shape == (features.n_frames,)
        assert curve.dtype == np.float32


def test_rates_must_divide() -> None:
    with pytest.raises(TinyTimbreError, match="whole multiple"):
        extract(np.zeros(100), frame_rate_hz=51.0)


def test_importing_the_package_is_cheap() -> None:
    code = (
        "import sys, tinytimbre.features, tinytimbre.features.pitch, tinytimbre.features.examples as _; "
        "print([m for m in ('tensorflow', 'librosa', 'onnxruntime', 'swift_f0') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
