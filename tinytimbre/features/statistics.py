"""How an instrument is played: distributions of its pitch and level, which timbre transfer aims for."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pydantic

from tinytimbre.errors import TinyTimbreError
from tinytimbre.features.examples import TakeFeatures
from tinytimbre.features.scaling import hz_to_midi

CONFIDENT = 0.5
"""Noise stays below 0.1 with both trackers; some plucked and breathy notes hardly ever reach 0.85."""

SILENT_RMS_DB = -60.0
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


class Distribution(pydantic.BaseModel):
    """Summary of one quantity over frames; ``quantiles`` has the keys p05, p25, p50, p75, p95."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    mean: float
    std: float
    min: float
    max: float
    quantiles: dict[str, float]


class InstrumentStatistics(pydantic.BaseModel):
    """Distributions over the frames of the train split that are confidently voiced and not silent.

    Attributes:
        pitch_midi: in MIDI note numbers, fractional.
        loudness_db: A-weighted loudness on ddsp's scale.
        rms_energy_db: dB of full scale.
        seconds: length of all train takes.
        voiced_seconds: length of the frames counted.
        takes: number of train takes.
    """

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    pitch_midi: Distribution
    loudness_db: Distribution
    rms_energy_db: Distribution
    seconds: float
    voiced_seconds: float
    takes: int


def summarise(values: np.ndarray) -> Distribution:
    """The distribution of ``values`` [N], N >= 1, rounded to 1e-4 (files stay readable and stable)."""
    values = np.asarray(values, np.float64)
    quantiles = np.quantile(values, QUANTILES)
    return Distribution(
        mean=round(float(values.mean()), 4),
        std=round(float(values.std()), 4),
        min=round(float(values.min()), 4),
        max=round(float(values.max()), 4),
        quantiles={f"p{round(100 * q):02d}": round(float(v), 4) for q, v in zip(QUANTILES, quantiles, strict=True)},
    )


def is_played(f0_confidence: np.ndarray, rms_energy_db: np.ndarray, *, confident: float = CONFIDENT) -> np.ndarray:
    """Bool [T]: frames that are confidently voiced and above -60 dBFS."""
    return (f0_confidence >= confident) & (rms_energy_db > SILENT_RMS_DB)


def instrument_statistics(takes: Iterable[TakeFeatures], *, frame_rate_hz: float) -> InstrumentStatistics:
    """Statistics of one instrument from its train takes, which are read once and not kept.

    Raises:
        TinyTimbreError: no take, or not one played frame in all of them.
    """
    curves: list[np.ndarray] = []
    frames = count = 0
    instrument = ""
    for take in takes:
        played = is_played(take.f0_confidence, take.rms_energy_db)
        curves.append(np.stack([hz_to_midi(take.f0_hz), take.loudness_db, take.rms_energy_db])[:, played])
        frames, count, instrument = frames + take.n_frames, count + 1, take.instrument
    pitch, loudness, energy = np.concatenate([np.zeros((3, 0)), *curves], axis=1)
    if len(pitch) == 0:
        raise _nothing_played(instrument, takes=count)
    return InstrumentStatistics(
        pitch_midi=summarise(pitch),
        loudness_db=summarise(loudness),
        rms_energy_db=summarise(energy),
        seconds=round(frames / frame_rate_hz, 4),
        voiced_seconds=round(len(pitch) / frame_rate_hz, 4),
        takes=count,
    )


def _nothing_played(instrument: str, *, takes: int) -> TinyTimbreError:
    if takes == 0:
        return TinyTimbreError(
            "an instrument needs at least one training take", got="none", remedy="add recordings of it"
        )
    return TinyTimbreError(
        f"the recordings of {instrument} need frames with a clear pitch",
        got=f"not one in {takes} training takes",
        cause="noise, percussion, silence, or notes outside 47 to 2094 Hz",
        remedy="give recordings of one pitched voice, or leave this instrument out with `instruments:`",
    )
