"""Notes that behave like recordings: partials whose levels fluctuate by themselves, and a little noise."""

from __future__ import annotations

import pathlib

import av
import numpy as np
import soundfile
from scipy.signal import butter, sosfilt


def make_note(f0_hz: float, *, seed: int, seconds: float = 3.0, sample_rate_hz: int = 16_000) -> np.ndarray:
    """float32 [n], peak 0.5: up to 12 partials, each with its own random fluctuation of some dB below 8 Hz."""
    rng = np.random.default_rng(seed)
    n = round(seconds * sample_rate_hz)
    time = np.arange(n) / sample_rate_hz
    slow = butter(2, 8.0, fs=sample_rate_hz, output="sos")
    audio = np.zeros(n)
    for k in range(1, min(12, int(0.45 * sample_rate_hz / f0_hz)) + 1):
        drift = sosfilt(slow, rng.normal(size=n))
        level = 10 ** (3.0 * drift / drift.std() / 20) / k
        audio += level * np.sin(2 * np.pi * k * f0_hz * time + rng.uniform(0, 2 * np.pi))
    audio += 1e-3 * rng.normal(size=n)
    audio *= np.minimum(1, np.minimum(time / 0.05, (seconds - time) / 0.2))
    return (0.5 * audio / np.abs(audio).max()).astype(np.float32)


def encode(path: pathlib.Path, audio: np.ndarray, *, codec: str, sample_rate_hz: int) -> pathlib.Path:
    """Writes float32 ``audio`` [channels, n] with PyAV in the format that the ending says."""
    layout = "mono" if len(audio) == 1 else "stereo"
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(audio), format="fltp", layout=layout)
    frame.sample_rate = sample_rate_hz
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=sample_rate_hz, layout=layout)
        resampler = av.AudioResampler(
            format=stream.format, layout=layout, rate=sample_rate_hz, frame_size=stream.codec_context.frame_size or None
        )
        for block in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(block))
        container.mux(stream.encode(None))
    return path


def write_notes(folder: pathlib.Path, *, count: int, seed: int = 0) -> None:
    """``count`` notes of different pitch as 16 kHz wav files."""
    folder.mkdir(parents=True)
    for i in range(count):
        note = make_note(220 * 2 ** (i / 6), seed=seed + i, seconds=1.0)
        soundfile.write(folder / f"note{i}.wav", note, 16_000)
