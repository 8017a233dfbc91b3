"""What a source becomes in the hands of an instrument: pitch by octaves, level by statistics, gaps by a gate.

All of it is arithmetic on frames; nothing here knows audio.
"""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import scipy.ndimage

from tinytimbre.config import InputKind
from tinytimbre.errors import TinyTimbreError
from tinytimbre.features.scaling import hz_to_midi, midi_to_hz
from tinytimbre.features.statistics import (
    SILENT_RMS_DB,
    Distribution,
    InstrumentStatistics,
    is_played,
    summarise,
)
from tinytimbre.transfer.analysis import SourceFeatures

MAX_OCTAVES = 6
# A shift must gain half a semitone a frame for every octave it moves the melody.
OCTAVE_COST_SEMITONES = 0.5
# Notes up to a fifth beyond the usual range are played as they are: the decoder extrapolates that far.
MARGIN_SEMITONES = 7.0
NOTE_JUMP_SEMITONES_PER_SEC = 35.0
SPREAD_RATIO = (0.5, 2.0)
# The gate is fully open from the first frame of a tone to its last: lead and hold cover half a ramp.
GATE_LEAD_SECS, GATE_HOLD_SECS, GATE_RAMP_SECS = 0.06, 0.1, 0.12
SHORTEST_TONE_SECS = 0.05


@dataclasses.dataclass(frozen=True)
class TransferPlan:
    """Inputs of the decoder and the gain of its output, a value each for ``T`` frames.

    Attributes:
        f0_hz: float32 [T], > 0; held through everything that is not a tone.
        level_db: float32 [T], >= -80, on the instrument's scale.
        gain: float32 [T] in [0, 1]: 0 away from tones.
        octave_shift: whole octaves that the whole source was moved.
        level_shift_db: mean level of the played frames, after minus before.
        voiced_share: share of frames that are tones.
        folded_share: share of the tones' frames moved by further octaves to stay in range.
    """

    f0_hz: np.ndarray
    level_db: np.ndarray
    gain: np.ndarray
    octave_shift: int
    level_shift_db: float
    voiced_share: float
    folded_share: float


def plan_transfer(
    source: SourceFeatures, *, statistics: InstrumentStatistics, input_kind: InputKind, frame_rate_hz: float
) -> TransferPlan:
    """Decides what the instrument plays.

    Raises:
        TinyTimbreError: the source is silent, or nothing in it has a pitch.
    """
    tones = _tones(source, frame_rate_hz=frame_rate_hz)
    midi = hz_to_midi(source.f0_hz)
    octaves = choose_octaves(midi[tones], target=statistics.pitch_midi)
    shifted = midi + 12.0 * octaves
    folded = fold_notes(shifted, tones, target=statistics.pitch_midi, frame_rate_hz=frame_rate_hz)
    target = statistics.loudness_db if input_kind == "loudness" else statistics.rms_energy_db
    level_db = match_level(source.level_db, played=tones, target=target)
    return TransferPlan(
        f0_hz=midi_to_hz(hold_through(folded, tones)).astype(np.float32),
        level_db=level_db.astype(np.float32),
        gain=gate(tones, frame_rate_hz=frame_rate_hz),
        octave_shift=octaves,
        level_shift_db=float(np.mean(level_db[tones] - source.level_db[tones])),
        voiced_share=float(np.mean(tones)),
        folded_share=float(np.mean(np.abs(folded - shifted)[tones] > 1)),
    )


def choose_octaves(midi: np.ndarray, *, target: Distribution) -> int:
    """Whole octaves that bring the notes ``midi`` [N] closest to where the instrument usually plays.

    Minimises the mean distance, in semitones, of the notes from the instrument's p05 to p95, plus a small
    cost for every octave: what already fits stays. Between equals, the one nearer to the instrument's median.
    """
    low, high = target.quantiles["p05"], target.quantiles["p95"]

    def cost(octaves: int) -> tuple[float, float]:
        moved = midi + 12.0 * octaves
        outside = np.maximum(0.0, np.maximum(low - moved, moved - high)).mean()
        return (
            round(float(outside) + OCTAVE_COST_SEMITONES * abs(octaves), 6),
            abs(float(np.median(moved)) - target.quantiles["p50"]),
        )

    return min(range(-MAX_OCTAVES, MAX_OCTAVES + 1), key=cost)


def playable_range(target: Distribution) -> tuple[float, float]:
    """Lowest and highest MIDI note that is played where it stands; 14 semitones or wider, so folding always lands.

    Training's extremes do not count: they may be slips of the tracker, and for an instrument recorded over
    little more than an octave they would tear melodies apart.
    """
    return target.quantiles["p05"] - MARGIN_SEMITONES, target.quantiles["p95"] + MARGIN_SEMITONES


def fold_notes(midi: np.ndarray, tones: np.ndarray, *, target: Distribution, frame_rate_hz: float) -> np.ndarray:
    """Moves notes that are out of range by whole octaves into it; a note moves as one, so vibrato stays whole.

    ``midi``: float [T]; ``tones``: bool [T]. A note ends where the tone ends or the pitch jumps.
    """
    low, high = playable_range(target)
    jumps = np.abs(np.diff(midi)) > NOTE_JUMP_SEMITONES_PER_SEC / frame_rate_hz
    starts = np.concatenate([[0], np.flatnonzero(jumps | (np.diff(tones) != 0)) + 1, [len(midi)]])
    folded = midi.copy()
    for first, last in itertools.pairwise(starts):
        center = float(np.median(midi[first:last]))
        if tones[first] and not low <= center <= high:
            octaves = np.ceil((low - center) / 12.0) if center < low else -np.ceil((center - high) / 12.0)
            folded[first:last] += 12.0 * octaves
    return folded


def hold_through(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """``values`` [T] with every unknown frame replaced by the last known one (the first known, at the start)."""
    last = np.maximum.accumulate(np.where(known, np.arange(len(values)), -1))
    first = int(np.argmax(known))
    return values[np.where(last < 0, first, last)]


def match_level(level_db: np.ndarray, *, played: np.ndarray, target: Distribution) -> np.ndarray:
    """Maps mean and spread of the played frames onto the instrument's; float64 [T] in [-80, target maximum].

    The spread changes by a factor of two at most. Below the source's p05, where there is room and breath and
    no tone, distances never shrink: a noise floor stays as far below the tones as it was.
    """
    source = summarise(level_db[played])
    ratio = float(np.clip(target.std / max(source.std, 1e-3), *SPREAD_RATIO)) if source.std > 1e-3 else 1.0
    knee = source.quantiles["p05"]
    above = target.mean + ratio * (np.maximum(level_db, knee) - source.mean)
    below = max(1.0, ratio) * np.minimum(level_db - knee, 0.0)
    return np.clip(above + below, -80.0, target.max)


def gate(tones: np.ndarray, *, frame_rate_hz: float) -> np.ndarray:
    """Gain [T] in [0, 1], float32: 1 throughout tones, raised-cosine ramps before and after, 0 elsewhere."""
    lead, hold = (round(secs * frame_rate_hz) for secs in (GATE_LEAD_SECS, GATE_HOLD_SECS))
    padded = np.pad(tones, (hold, lead))
    opened = np.logical_or.reduce([padded[shift : shift + len(tones)] for shift in range(lead + hold + 1)])
    ramp = np.hanning(max(1, 2 * round(GATE_RAMP_SECS * frame_rate_hz / 2) - 1) + 2)
    smooth = scipy.ndimage.convolve1d(opened.astype(np.float64), ramp / ramp.sum(), mode="nearest")
    return np.clip(smooth, 0.0, 1.0).astype(np.float32)


def _tones(source: SourceFeatures, *, frame_rate_hz: float) -> np.ndarray:
    """Bool [T]: voiced and audible, without bursts too short to be a tone."""
    voiced = is_played(source.f0_confidence, source.rms_energy_db)
    shortest = np.ones(max(1, round(SHORTEST_TONE_SECS * frame_rate_hz)))
    tones = np.asarray(scipy.ndimage.binary_opening(voiced, shortest))
    if tones.any():
        return tones
    if source.rms_energy_db.max(initial=-80.0) <= SILENT_RMS_DB:
        raise TinyTimbreError(
            "the source must be audible",
            got="silence" if source.n_samples else "no samples at all",
            remedy="check the file, or the microphone it came from",
        )
    raise TinyTimbreError(
        "the source needs a melody to follow",
        got=f"{source.n_samples} samples without a clear pitch",
        cause="speech in a whisper, drums, chords or noise; or a pitch outside 47 to 2094 Hz",
        remedy="give one voice or instrument, one note at a time",
    )
