"""A room in a few numbers: its impulse response is made from them and never shipped.

    room = Reverb(levels=(0.2, 0.1), rt60_secs=(0.6, 0.3))
    wet = StreamingReverb(room, sample_rate_hz=16_000).process(dry)    # call again with what follows: no seam

A room's late sound is noise that dies away faster at some frequencies than at others (Moorer 1979, "About this
reverberation business"). The response is the direct sound, 1 at t = 0, and after it a sum over frequency bands ::

    level_b * sqrt(2 d_b) * exp(-d_b t) * noise_b(t),      d_b = ln(1000) / rt60_b,      0 < t < response_secs

The noises have a power density of 1 per Hz inside their band, so ``level_b ** 2`` is the ratio of reverberant to
direct energy in the band whatever the decay. Everything is in Hz and seconds and the noises come from an integer hash,
so the numbers mean the same room at any sample rate and in any language; ``docs/reverb.md`` is the definition in full,
with a program in JavaScript that a test compares with this one.
"""

from __future__ import annotations

import itertools
import math
from typing import Self

import numpy as np
import pydantic

LOW_HZ, HIGH_HZ = 62.5, 8_000.0
RESPONSE_SECS = 1.0
MAX_BANDS = 24
MAX_RESPONSE_SECS = 2.0

LEVEL_RANGE = (1e-3, 4.0)
RT60_RANGE_SECS = (0.05, 1.0)
INITIAL_LEVEL, INITIAL_RT60_SECS = 0.1, 0.25
# An optimiser moves every weight equally fast, and a control depends on many: the room's few keep up with them.
SLOPE = 4.0
# A rounding that nobody hears (0.0004 dB), and settings.json does not need nine digits a number.
DIGITS = 5

# Bands end here at the latest, as a share of the sample rate: at half of it the filter would have no width.
HIGHEST_SHARE = 0.49
# Each band has its own stretch of the hash's counter, longer than any response.
COUNTERS_PER_BAND = 2**20


class Reverb(pydantic.BaseModel):
    """A room: per band how loud it is and how long it rings.

    Attributes:
        levels: reverberant to direct sound, as an amplitude ratio, in [0.001, 4].
        rt60_secs: seconds until the reverberation has fallen by 60 dB, in [0.05, 1].
        low_hz: lower edge of the first band; the edges are equally wide in pitch.
        high_hz: upper edge of the last.
        response_secs: where the response ends.
    """

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    levels: tuple[float, ...] = pydantic.Field(min_length=1, max_length=MAX_BANDS)
    rt60_secs: tuple[float, ...]
    low_hz: float = pydantic.Field(LOW_HZ, ge=10)
    high_hz: float = pydantic.Field(HIGH_HZ, le=24_000)
    response_secs: float = pydantic.Field(RESPONSE_SECS, gt=0, le=MAX_RESPONSE_SECS)

    @pydantic.model_validator(mode="after")
    def _possible(self) -> Self:
        if len(self.rt60_secs) != len(self.levels):
            raise ValueError(f"every band needs a level and an RT60, got {len(self.levels)} and {len(self.rt60_secs)}")
        for name, (low, high) in (("levels", LEVEL_RANGE), ("rt60_secs", RT60_RANGE_SECS)):
            if not all(low <= value <= high for value in getattr(self, name)):
                raise ValueError(f"{name} must lie in [{low:g}, {high:g}], got {getattr(self, name)}")
        if not self.low_hz < self.high_hz:
            raise ValueError(f"low_hz must be below high_hz, got {self.low_hz:g} and {self.high_hz:g}")
        return self

    @classmethod
    def from_weights(cls, weights: np.ndarray) -> Self:
        """The room of trained numbers, float32 [2, bands] without bounds: levels, then decays; see `bounded`."""
        levels, rt60_secs = (
            tuple(float(f"{value:.{DIGITS}g}") for value in bounded(row.astype(np.float64), limits=limits))
            for row, limits in zip(weights, (LEVEL_RANGE, RT60_RANGE_SECS), strict=True)
        )
        return cls(levels=levels, rt60_secs=rt60_secs)

    def to_weights(self) -> np.ndarray:
        """Float32 [2, bands] that `from_weights` turns into this very room."""
        rows = (_unbounded(self.levels, limits=LEVEL_RANGE), _unbounded(self.rt60_secs, limits=RT60_RANGE_SECS))
        return np.stack(rows).astype(np.float32)


def initial_weights(bands: int) -> np.ndarray:
    """Where training starts, float32 [2, bands]: a faint, short room."""
    return Reverb(levels=(INITIAL_LEVEL,) * bands, rt60_secs=(INITIAL_RT60_SECS,) * bands).to_weights()


def bounded(x: np.ndarray, *, limits: tuple[float, float]) -> np.ndarray:
    """``low * (high / low) ** sigmoid(SLOPE * x)``: positive, within the limits, even steps in dB around the middle."""
    low, high = limits
    return low * (high / low) ** (0.5 + 0.5 * np.tanh(0.5 * SLOPE * x))


def _unbounded(values: tuple[float, ...], *, limits: tuple[float, float]) -> np.ndarray:
    low, high = limits
    share = np.log(np.array(values) / low) / math.log(high / low)
    # At a limit itself the sigmoid's inverse is infinite; this near to it rounds to the limit.
    share = np.clip(share, 1e-7, 1 - 1e-7)
    return np.log(share / (1 - share)) / SLOPE


def impulse_response(reverb: Reverb, *, sample_rate_hz: int) -> np.ndarray:
    """The room's response, float64 [response_secs * sample_rate_hz], 1 at the first sample."""
    noises = band_noises(
        len(reverb.levels),
        sample_rate_hz=sample_rate_hz,
        low_hz=reverb.low_hz,
        high_hz=reverb.high_hz,
        secs=reverb.response_secs,
    )
    decays = math.log(1000.0) / np.array(reverb.rt60_secs)
    seconds = np.arange(noises.shape[-1]) / sample_rate_hz
    envelopes = (np.array(reverb.levels) * np.sqrt(2.0 * decays))[:, None] * np.exp(-decays[:, None] * seconds)
    response = (envelopes * noises).sum(axis=0)
    response[0] = 1.0
    return response


def band_noises(
    bands: int,
    *,
    sample_rate_hz: int,
    low_hz: float = LOW_HZ,
    high_hz: float = HIGH_HZ,
    secs: float = RESPONSE_SECS,
) -> np.ndarray:
    """Independent noises, one a band, with a power density of 1 per Hz inside it; silent above the sample rate's reach.

    Returns:
        float64 [bands, secs * sample_rate_hz].
    """
    samples = round(secs * sample_rate_hz)
    # Uniform noise in [-1, 1) has a variance of 1/3.
    scale = math.sqrt(3.0 / sample_rate_hz)
    edges_hz = low_hz * (high_hz / low_hz) ** (np.arange(bands + 1) / bands)
    shares = np.minimum(edges_hz / sample_rate_hz, HIGHEST_SHARE)
    return np.stack(
        [
            _band_passed(scale * hashed_noise(band, samples=samples), start=start, stop=stop)
            for band, (start, stop) in enumerate(itertools.pairwise(shares))
        ]
    )


def hashed_noise(stream: int, *, samples: int) -> np.ndarray:
    """Uniform noise in [-1, 1), float64 [samples]: MurmurHash3's 32-bit finaliser (Appleby) of a counter."""
    first = stream * COUNTERS_PER_BAND + 1
    x = np.arange(first, first + samples, dtype=np.uint32)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        x ^= x >> np.uint32(shift)
        x *= np.uint32(factor)
    x ^= x >> np.uint32(16)
    return x / 2.0**31 - 1.0


def _band_passed(white: np.ndarray, *, start: float, stop: float) -> np.ndarray:
    """Edges as shares of the sample rate; silence where nothing is between them."""
    from scipy.signal import sosfilt

    if start >= stop:
        return np.zeros_like(white)
    section = _band_filter(start, stop)
    # Twice: 12 dB an octave outside the band, so that a long ring does not colour a short one far off.
    return np.asarray(sosfilt([section, section], white))


def _band_filter(start: float, stop: float) -> list[float]:
    """A Butterworth band pass of two poles by the bilinear transform, -3 dB at both edges (shares of the rate).

    Returns:
        ``b0, b1, b2, 1, a1, a2``, as SciPy's second-order sections.
    """
    lower, upper = math.tan(math.pi * start), math.tan(math.pi * stop)
    width, centre = upper - lower, upper * lower
    scale = 1.0 + width + centre
    return [width / scale, 0.0, -width / scale, 1.0, 2.0 * (centre - 1.0) / scale, (1.0 - width + centre) / scale]


class StreamingReverb:
    """Plays sound in a room, block after block; memory is one response and one block."""

    def __init__(self, reverb: Reverb, *, sample_rate_hz: int) -> None:
        self._response = impulse_response(reverb, sample_rate_hz=sample_rate_hz)
        self._tail = np.zeros(len(self._response) - 1)

    def process(self, dry: np.ndarray) -> np.ndarray:
        """The next block in the room, float32 [samples] as `dry`, of any length; what rings on comes with the next."""
        from scipy.signal import oaconvolve

        if len(dry) == 0:
            return np.zeros(0, np.float32)
        mixed = oaconvolve(dry.astype(np.float64), self._response)
        mixed[: len(self._tail)] += self._tail
        self._tail = mixed[len(dry) :]
        return mixed[: len(dry)].astype(np.float32)


def convolution_size(samples: int, *, past: int, response: int) -> int:
    """Length of the transforms that convolve a clip after its past: what wraps around falls on the past."""
    return 1 << (max(past, response) + samples - 1).bit_length()


def reverb_mflops(*, sample_rate_hz: int, response_secs: float = RESPONSE_SECS) -> float:
    """Million floating-point operations per second of audio for the convolution, whatever the number of bands.

    Overlap-add in blocks of the response's length, the least a client can do: per block two real FFTs of twice that
    length F at 2.5 F log2 F each (the usual count, half of a complex one's) and a complex product at 6 a bin. A client
    that splits the response for low latency pays some two to three times as much.
    """
    block = 1 << (round(response_secs * sample_rate_hz) - 1).bit_length()
    size = 2 * block
    per_block = 2 * 2.5 * size * math.log2(size) + 6 * (block + 1)
    return 1e-6 * per_block * sample_rate_hz / block
