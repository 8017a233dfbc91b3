"""Recordings that nobody played, for trying the whole way without any: two instruments of unlike spectra."""

from __future__ import annotations

import pathlib

import numpy as np
import soundfile

RATE = 16_000
BRIGHTNESS = {"reed": 0.85, "flue": 0.4}


def note(*, f0_hz: float, seconds: float, brightness: float, seed: int) -> np.ndarray:
    """Float32 [n]: harmonics falling as brightness ** k, vibrato, attack and release, a little breath."""
    time = np.arange(round(seconds * RATE)) / RATE
    rng = np.random.default_rng(seed)
    f0 = f0_hz * (1 + 0.01 * np.sin(2 * np.pi * (4.5 + rng.random()) * time))
    phase = 2 * np.pi * np.cumsum(f0) / RATE
    tone = sum(brightness**k * np.sin(k * phase + rng.random()) for k in range(1, 9) if k * f0_hz < 0.45 * RATE)
    envelope = np.minimum(1, time / 0.08) * np.minimum(1, (seconds - time) / 0.2) * (0.8 + 0.2 * np.cos(3 * time))
    audio = envelope * (tone + 0.01 * rng.standard_normal(len(time)))
    return (0.5 * audio / np.abs(audio).max()).astype(np.float32)


def make_recordings(folder: pathlib.Path, *, instruments: tuple[str, ...] = ("reed", "flue"), notes: int = 9) -> None:
    """Writes `notes` files of 0.9 to 1.3 s for each instrument."""
    for offset, instrument in enumerate(instruments):
        (folder / instrument).mkdir(parents=True)
        for index in range(notes):
            audio = note(
                f0_hz=220 * 2 ** ((2 * index + offset) / 12),
                seconds=0.9 + 0.05 * index,
                brightness=BRIGHTNESS[instrument],
                seed=100 * offset + index,
            )
            soundfile.write(folder / instrument / f"{index:02d}.wav", audio, RATE)
