"""Does a model survive what timbre transfer does to it: other octaves, other levels, a voice.

    probes = [*take_probes(takes), voice_probe(statistics, sample_rate_hz=..., frame_rate_hz=..., tracker=...)]
    measures = measure_sanity(probes, renderings, sample_rate_hz=..., frame_rate_hz=..., tracker=...)

There is no recording to compare with here, so these are measures of a model on its own, lower is better:

* ``octave_f0_missed_points``: share of played frames, 0..100, whose pitch is not the one asked for (within 50 cents)
  when all is moved an octave; the worse of up and down.
* ``octave_level_db``: how far the level strays from that of the unmoved rendering, the 95th percentile over played
  frames; the worse of up and down. Silence and bursts of noise show here.
* ``level_step_db``: 6 dB louder and 6 dB softer inputs should move the output by 6 dB each: the larger of the two
  errors of the mean level. Below 6 the output follows monotonically.
* ``voice_f0_missed_points``, ``voice_level_db``: on a synthetic voice that was fitted to the instrument as transfer
  does it, the first measure, and the mean error of the A-weighted loudness.

A measure that nothing could be measured for (an octave up leaves every tracker's range) is left out.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal

import numpy as np

from tinytimbre.config import InputKind
from tinytimbre.errors import TinyTimbreError
from tinytimbre.features.examples import TakeFeatures
from tinytimbre.features.loudness import loudness_db, rms_energy_db
from tinytimbre.features.pitch import track_pitch
from tinytimbre.features.scaling import scale_inputs
from tinytimbre.features.statistics import InstrumentStatistics, is_played
from tinytimbre.quality.metrics import f0_metrics
from tinytimbre.quality.verdict import SANITY
from tinytimbre.quality.voice import synthetic_voice
from tinytimbre.transfer.analysis import SourceFeatures, analyse
from tinytimbre.transfer.plan import TransferPlan, plan_transfer

Change = Literal["none", "octave up", "octave down", "louder", "softer", "voice"]
LEVEL_STEP_DB = 6.0
MOVES: dict[Change, tuple[float, float]] = {
    "none": (1.0, 0.0),
    "octave up": (2.0, 0.0),
    "octave down": (0.5, 0.0),
    "louder": (1.0, LEVEL_STEP_DB),
    "softer": (1.0, -LEVEL_STEP_DB),
}
"""Factor of the pitch and dB on the level."""

TRACKED_HZ = (50.0, 2_000.0)  # a little inside what SwiftF0 can follow
STRAY_QUANTILE = 0.95
PROBE_TAKES, PROBE_SECS = 2, 2.5
FLOOR_DB = -80.0


@dataclasses.dataclass(frozen=True, eq=False)
class Probe:
    """Inputs of a decoder that it was not trained on, ``T`` frames.

    Attributes:
        change: what was done to them.
        group: the take they come from; probes of one group are compared with each other.
        f0_hz: float32 [T], > 0.
        loudness_db: float32 [T], >= -80, for decoders that take loudness.
        rms_energy_db: float32 [T], >= -80, for decoders that take RMS energy.
        played: bool [T], the frames that count.
    """

    change: Change
    group: int
    f0_hz: np.ndarray
    loudness_db: np.ndarray
    rms_energy_db: np.ndarray
    played: np.ndarray

    def inputs(self, kind: InputKind) -> np.ndarray:
        """Float32 [T, 2] for a decoder of that kind."""
        return scale_inputs(self.f0_hz, self.loudness_db if kind == "loudness" else self.rms_energy_db)

    @property
    def pitched(self) -> np.ndarray:
        """Bool [T]: played frames whose pitch a tracker can tell."""
        return self.played & (self.f0_hz >= TRACKED_HZ[0]) & (self.f0_hz <= TRACKED_HZ[1])


def take_probes(takes: Sequence[TakeFeatures], *, frame_rate_hz: float) -> list[Probe]:
    """Five probes each of the 2.5 seconds with most playing in the first two takes that are played at all."""
    played = [take for take in takes if is_played(take.f0_confidence, take.rms_energy_db).any()][:PROBE_TAKES]
    parts = [(take, _busiest(take, frames=round(PROBE_SECS * frame_rate_hz))) for take in played]
    return [
        _moved(take, part, group=group, change=change) for group, (take, part) in enumerate(parts) for change in MOVES
    ]


def voice_probe(statistics: InstrumentStatistics, *, sample_rate_hz: int, frame_rate_hz: float, tracker: str) -> Probe:
    """The synthetic voice, moved into the instrument's range and level by `tinytimbre.transfer.plan`."""
    voice = synthetic_voice(sample_rate_hz=sample_rate_hz)
    plans = {
        kind: plan_transfer(
            _heard(voice, kind, sample_rate_hz=sample_rate_hz, frame_rate_hz=frame_rate_hz, tracker=tracker),
            statistics=statistics,
            input_kind=kind,
            frame_rate_hz=frame_rate_hz,
        )
        for kind in _KINDS
    }
    loudness, energy = plans["loudness"], plans["rms_energy"]
    return Probe("voice", -1, loudness.f0_hz, loudness.level_db, energy.level_db, played=_steady(loudness))


_KINDS: tuple[InputKind, ...] = ("loudness", "rms_energy")


def measure_sanity(
    probes: Sequence[Probe],
    renderings: Sequence[np.ndarray],
    *,
    sample_rate_hz: int,
    frame_rate_hz: float,
    tracker: str,
) -> dict[str, float]:
    """Measures of one model by name, see above; means over the takes.

    Args:
        probes: as `take_probes` and `voice_probe` give them.
        renderings: float32 [T * hop] audio of each.
        sample_rate_hz: of the audio.
        frame_rate_hz: of the probes.
        tracker: name of the pitch tracker.

    Raises:
        TinyTimbreError: a rendering has NaN or infinite samples.
    """
    heard = [
        _Heard.of(probe, audio, rates=(sample_rate_hz, frame_rate_hz), tracker=tracker)
        for probe, audio in zip(probes, renderings, strict=True)
    ]
    values: dict[str, list[float]] = {name: [] for name in SANITY}
    for group in sorted({one.probe.group for one in heard}):
        own = {one.probe.change: one for one in heard if one.probe.group == group}
        found = _of_voice(own["voice"]) if "voice" in own else _of_take(own)
        for name, value in found.items():
            values[name].append(value)
    return {name: float(np.nanmean(each)) for name, each in values.items() if np.isfinite(each).any()}


@dataclasses.dataclass(frozen=True, eq=False)
class _Heard:
    """A rendering of a probe: its level, loudness and share of missed frames."""

    probe: Probe
    rms_db: np.ndarray
    loudness_db: np.ndarray
    missed_points: float

    @classmethod
    def of(cls, probe: Probe, audio: np.ndarray, *, rates: tuple[int, float], tracker: str) -> _Heard:
        if not np.isfinite(audio).all():
            raise TinyTimbreError(
                "a rendering must be finite", got="NaN or infinite samples", cause="the model diverged"
            )
        rate, frame_rate = rates
        return cls(
            probe,
            rms_energy_db(audio, sample_rate_hz=rate, frame_rate_hz=frame_rate),
            loudness_db(audio, sample_rate_hz=rate, frame_rate_hz=frame_rate),
            _missed_points(probe, audio, rates=rates, tracker=tracker),
        )


def _missed_points(probe: Probe, audio: np.ndarray, *, rates: tuple[int, float], tracker: str) -> float:
    """NaN where no pitch can be told, or none needs to be."""
    if probe.change in ("none", "louder", "softer") or not probe.pitched.any():
        return float("nan")
    f0_hz, confidence = track_pitch(audio, sample_rate_hz=rates[0], frame_rate_hz=rates[1], tracker=tracker)
    voiced = np.where(confidence > 0, f0_hz, 0.0)
    return 100.0 - f0_metrics(probe.f0_hz, voiced, confident=probe.pitched).accuracy_points


def _of_take(own: dict[Change, _Heard]) -> dict[str, float]:
    plain, moved = own["none"], [own["octave up"], own["octave down"]]
    played = plain.probe.played
    strays = [np.quantile(np.abs(one.rms_db - plain.rms_db)[played], STRAY_QUANTILE) for one in moved]
    means = [float(own[change].rms_db[played].mean()) for change in ("softer", "none", "louder")]
    missed = [one.missed_points for one in moved if np.isfinite(one.missed_points)]
    return {
        "octave_f0_missed_points": max(missed, default=float("nan")),
        "octave_level_db": float(max(strays)),
        "level_step_db": float(np.abs(np.diff(means) - LEVEL_STEP_DB).max()),
    }


def _of_voice(voice: _Heard) -> dict[str, float]:
    played = voice.probe.played
    error = np.abs(voice.loudness_db - voice.probe.loudness_db)[played]
    return {"voice_f0_missed_points": voice.missed_points, "voice_level_db": float(error.mean())}


def _busiest(take: TakeFeatures, *, frames: int) -> slice:
    """The window of ``frames`` with most played frames, the first of equals."""
    played = np.concatenate([[0], np.cumsum(is_played(take.f0_confidence, take.rms_energy_db))])
    frames = min(frames, take.n_frames)
    start = int(np.argmax(played[frames:] - played[: len(played) - frames]))
    return slice(start, start + frames)


def _moved(take: TakeFeatures, part: slice, *, group: int, change: Change) -> Probe:
    factor, step_db = MOVES[change]
    return Probe(
        change,
        group,
        f0_hz=(take.f0_hz[part] * factor).astype(np.float32),
        loudness_db=np.maximum(take.loudness_db[part] + np.float32(step_db), FLOOR_DB),
        rms_energy_db=np.clip(take.rms_energy_db[part] + np.float32(step_db), FLOOR_DB, 0.0),
        played=is_played(take.f0_confidence[part], take.rms_energy_db[part]),
    )


def _heard(
    voice: np.ndarray, kind: InputKind, *, sample_rate_hz: int, frame_rate_hz: float, tracker: str
) -> SourceFeatures:
    return analyse(
        [voice],
        peak=float(np.abs(voice).max()),
        input_kind=kind,
        hop=round(sample_rate_hz / frame_rate_hz),
        sample_rate_hz=sample_rate_hz,
        tracker=tracker,
    )


def _steady(plan: TransferPlan) -> np.ndarray:
    """Bool [T]: frames that are heard in full."""
    return plan.gain >= 1.0
