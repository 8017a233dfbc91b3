"""Sounds and their spectrograms as data URIs, small enough for a page that needs no network."""

from __future__ import annotations

import base64
import io
import pathlib

import numpy as np
import scipy.signal
import soundfile
import soxr

from tinytimbre.errors import TinyTimbreError

SAMPLE_RATE_HZ = 16_000
# Of LAME's variable bit rates 0 (best) to 1; at 0.5 16 kHz mono takes about 35 kbit/s, and all browsers play it.
MP3_COMPRESSION = 0.5
SPECTROGRAM_SIZE = (360, 120)
SPECTROGRAM_RANGE_DB = 80.0


def read_clip(path: pathlib.Path, *, max_secs: float) -> np.ndarray:
    """The first seconds of a sound file, float32 mono at 16 kHz.

    Raises:
        TinyTimbreError: the file is missing or not audio.
    """
    try:
        with soundfile.SoundFile(path) as file:
            audio = file.read(round(max_secs * file.samplerate), dtype="float32", always_2d=True).mean(axis=1)
            rate = file.samplerate
    except (OSError, soundfile.LibsndfileError) as error:
        raise TinyTimbreError("a clip of the report must be a readable sound file", got=f"{path}: {error}") from error
    return audio if rate == SAMPLE_RATE_HZ else soxr.resample(audio, rate, SAMPLE_RATE_HZ)


def mp3_uri(audio: np.ndarray) -> str:
    """Float32 [n] at 16 kHz as an MP3 data URI."""
    buffer = io.BytesIO()
    soundfile.write(
        buffer,
        np.clip(audio, -1, 1),
        SAMPLE_RATE_HZ,
        format="MP3",
        subtype="MPEG_LAYER_III",
        compression_level=MP3_COMPRESSION,
        bitrate_mode="VARIABLE",
    )
    return _uri(buffer.getvalue(), "audio/mpeg")


def spectrogram_uri(audio: np.ndarray, *, peak: float) -> str:
    """Spectrogram as a WebP data URI, 0 to 8 kHz, 80 dB below ``peak`` (see `spectrogram_peak`) black."""
    from matplotlib import colormaps
    from PIL import Image

    power = _spectrogram(audio)
    level = 1 + 10 * np.log10(np.maximum(power / peak, 1e-12)) / SPECTROGRAM_RANGE_DB
    pixels = (colormaps["magma"](np.clip(level, 0, 1))[::-1, :, :3] * 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).resize(SPECTROGRAM_SIZE, Image.Resampling.BILINEAR).save(buffer, "WEBP", quality=60)
    return _uri(buffer.getvalue(), "image/webp")


def spectrogram_peak(audio: np.ndarray) -> float:
    """Largest power of a spectrogram, > 0; the original's is the common scale of its renderings."""
    return max(float(_spectrogram(audio).max()), 1e-12)


def _spectrogram(audio: np.ndarray) -> np.ndarray:
    audio = np.pad(audio, (0, max(0, 1024 - len(audio))))
    return scipy.signal.spectrogram(audio, SAMPLE_RATE_HZ, window="hann", nperseg=1024, noverlap=768)[2]


def _uri(content: bytes, mime: str) -> str:
    return f"data:{mime};base64,{base64.b64encode(content).decode()}"
