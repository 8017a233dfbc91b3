"""A singing voice made from formulas: what timbre transfer is given most, and no recording of anyone.

Source and filter as in Klatt, JASA 67:3, 1980: a train of glottal pulses or noise through resonators at the formants.
It holds all that a voice has and an instrument has not: breath, consonants, silence, vowels, a glide of an octave, and
a range, 90 to 220 Hz, that lies below most instruments.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal

import numpy as np
import scipy.signal

Kind = Literal["vowel", "breath", "consonant", "silence"]

# Formants in Hz (Peterson & Barney, JASA 24:2, 1952, table II, men) and the usual bandwidths in Hz.
VOWELS = {"a": (730, 1090, 2440), "i": (270, 2290, 3010), "u": (300, 870, 2240), "": (500, 1500, 2500)}
BANDWIDTHS = (80, 110, 160)
HISS_HZ, HISS_BANDWIDTH_HZ = 5_000, 2_000
FADE_SECS = 0.02
PEAK = 0.5


@dataclasses.dataclass(frozen=True)
class Part:
    """A stretch of the voice: ``f0_hz`` from its first to its last sample, ``level`` against the loudest vowel."""

    kind: Kind
    seconds: float
    vowel: str = ""
    f0_hz: tuple[float, float] = (0.0, 0.0)
    level: float = 1.0


PHRASE = (
    Part("silence", 0.3),
    Part("breath", 0.4, level=0.03),
    Part("vowel", 0.8, vowel="a", f0_hz=(110.0, 110.0)),
    Part("consonant", 0.15, level=0.15),
    Part("vowel", 0.6, vowel="i", f0_hz=(147.0, 147.0), level=0.7),
    Part("silence", 0.4),
    Part("consonant", 0.1, level=0.2),
    Part("vowel", 1.0, vowel="u", f0_hz=(90.0, 180.0), level=0.8),
    Part("breath", 0.3, level=0.03),
    Part("vowel", 0.6, vowel="a", f0_hz=(220.0, 196.0)),
    Part("silence", 0.3),
)


def synthetic_voice(*, sample_rate_hz: int, parts: Sequence[Part] = PHRASE, seed: int = 0) -> np.ndarray:
    """The voice, float32 [n], peak 0.5; the same seed gives the same sound."""
    generator = np.random.default_rng(seed)
    pieces = [_piece(part, sample_rate_hz=sample_rate_hz, generator=generator) for part in parts]
    voice = np.concatenate([np.zeros(0), *pieces])
    return (PEAK * voice / max(1e-9, float(np.abs(voice).max(initial=0.0)))).astype(np.float32)


def _piece(part: Part, *, sample_rate_hz: int, generator: np.random.Generator) -> np.ndarray:
    count = round(part.seconds * sample_rate_hz)
    noise = generator.standard_normal(count)
    if part.kind == "silence":
        return np.zeros(count)
    if part.kind == "vowel":
        sound = _formants(_pulses(part, count=count, rate=sample_rate_hz), part.vowel, rate=sample_rate_hz)
    elif part.kind == "breath":
        sound = _formants(noise, part.vowel, rate=sample_rate_hz)
    else:
        hiss = min(HISS_HZ, 0.4 * sample_rate_hz)
        sound = _resonated(noise, hiss, HISS_BANDWIDTH_HZ, rate=sample_rate_hz)
    fade = np.minimum(1.0, np.minimum(np.arange(count), np.arange(count)[::-1]) / (FADE_SECS * sample_rate_hz))
    return part.level * fade * sound / max(1e-9, float(np.abs(sound).max(initial=0.0)))


def _pulses(part: Part, *, count: int, rate: int) -> np.ndarray:
    """Harmonics falling by 12 dB an octave, as Klatt's glottal source does, with 5.5 Hz vibrato; band-limited."""
    seconds = np.arange(count) / rate
    f0_hz = np.geomspace(*part.f0_hz, count) * (1 + 0.005 * np.sin(2 * np.pi * 5.5 * seconds))
    cycles = 2 * np.pi * np.cumsum(f0_hz) / rate
    highest = int(0.45 * rate / max(part.f0_hz))
    return np.asarray(sum(np.sin(k * cycles) / k**2 for k in range(1, highest + 1)))


def _formants(source: np.ndarray, vowel: str, *, rate: int) -> np.ndarray:
    for hz, bandwidth in zip(VOWELS[vowel], BANDWIDTHS, strict=True):
        source = _resonated(source, hz, bandwidth, rate=rate)
    return source


def _resonated(source: np.ndarray, hz: float, bandwidth_hz: float, *, rate: int) -> np.ndarray:
    """Klatt's digital resonator (his equation 2): two poles, gain 1 at 0 Hz."""
    c = -np.exp(-2 * np.pi * bandwidth_hz / rate)
    b = 2 * np.exp(-np.pi * bandwidth_hz / rate) * np.cos(2 * np.pi * hz / rate)
    return np.asarray(scipy.signal.lfilter([1 - b - c], [1, -b, -c], source))
