from __future__ import annotations

import pathlib

import numpy as np
import pytest
import soundfile
from scipy.signal import welch

from tinytimbre.audio.example import RATE, make_recordings, note


@pytest.mark.parametrize("f0_hz", [220.0, 440.0])
def test_a_note_has_its_pitch_and_its_spectrum(f0_hz: float) -> None:
    bright, dark = (note(f0_hz=f0_hz, seconds=1.0, brightness=b, seed=1) for b in (0.85, 0.4))
    hz, bright_power = welch(bright, RATE, nperseg=4096)
    _, dark_power = welch(dark, RATE, nperseg=4096)
    # The vibrato is 1 % of the pitch, a bin 3.9 Hz.
    assert hz[np.argmax(dark_power)] == pytest.approx(f0_hz, abs=0.01 * f0_hz + 4)
    assert (hz @ bright_power) / bright_power.sum() > 1.3 * (hz @ dark_power) / dark_power.sum()


def test_recordings_are_the_same_every_time(tmp_path: pathlib.Path) -> None:
    for name in ("a", "b"):
        make_recordings(tmp_path / name, notes=3)
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.wav"))
    assert [str(file) for file in files] == [f"{name}/0{index}.wav" for name in ("flue", "reed") for index in range(3)]
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
        assert soundfile.info(tmp_path / "a" / file).samplerate == RATE
