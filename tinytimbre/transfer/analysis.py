"""Features of a source of any length from its blocks: what stays in memory is four numbers a frame."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable

import numpy as np

from tinytimbre.config import InputKind
from tinytimbre.features.frames import count_frames
from tinytimbre.features.loudness import FRAME_SIZE, frame_levels_db, loudness_power, mean_square
from tinytimbre.features.pitch import PitchStream, get_tracker, level_gain, onto_grid


@dataclasses.dataclass(frozen=True)
class SourceFeatures:
    """Pitch and level of a source on ``T`` frames; as `tinytimbre.features.examples.TakeFeatures` has them.

    Attributes:
        f0_hz: float32 [T], > 0.
        f0_confidence: float32 [T], in [0, 1].
        level_db: float32 [T], >= -80: loudness or RMS energy, whichever the model takes.
        rms_energy_db: float32 [T], >= -80, for telling silence.
        n_samples: length of the source at the model's sample rate.
    """

    f0_hz: np.ndarray
    f0_confidence: np.ndarray
    level_db: np.ndarray
    rms_energy_db: np.ndarray
    n_samples: int


class LevelStream:
    """`tinytimbre.features.loudness` for audio that arrives in blocks; the result does not depend on the cuts."""

    def __init__(self, *, hop: int, power: Callable[[np.ndarray], np.ndarray]) -> None:
        self._hop, self._power = hop, power
        self._buffer = np.zeros(FRAME_SIZE // 2, np.float32)
        self._n_samples = 0
        self._skip = 0
        self._levels: list[np.ndarray] = []

    def push(self, block: np.ndarray) -> None:
        """Takes the next samples, float32 [n]."""
        self._n_samples += len(block)
        self._take(block)

    def finish(self) -> np.ndarray:
        """Levels in dB of everything pushed, float32 [T]."""
        self._take(np.zeros(FRAME_SIZE + self._hop, np.float32))
        levels = np.concatenate([np.zeros(0, np.float32), *self._levels])
        return levels[: count_frames(self._n_samples, hop=self._hop)]

    def _take(self, block: np.ndarray) -> None:
        self._buffer = np.concatenate([self._buffer, block])
        # With hops longer than a frame, the next frame may begin beyond what has arrived.
        dropped = min(self._skip, len(self._buffer))
        self._buffer, self._skip = self._buffer[dropped:], self._skip - dropped
        if self._skip:
            return
        levels = frame_levels_db(self._buffer, hop=self._hop, power=self._power)
        self._levels.append(levels)
        used = len(levels) * self._hop
        self._skip = max(0, used - len(self._buffer))
        self._buffer = self._buffer[used:]


def survey(blocks: Iterable[np.ndarray]) -> tuple[float, int]:
    """Largest magnitude of a source (0 for an empty one) and its number of blocks."""
    peak, count = 0.0, 0
    for block in blocks:
        peak, count = max(peak, float(np.abs(block).max(initial=0.0))), count + 1
    return peak, count


def analyse(
    blocks: Iterable[np.ndarray],
    *,
    peak: float,
    input_kind: InputKind,
    hop: int,
    sample_rate_hz: int,
    tracker: str = "swift_f0",
) -> SourceFeatures:
    """Pitch and level of a source.

    Args:
        blocks: its samples in order, float32 [n] each.
        peak: of the whole source (`survey`): quiet sources are raised before tracking.
        input_kind: which level the model takes.
        hop: samples a frame.
        sample_rate_hz: of the blocks.
        tracker: a key of `tinytimbre.features.pitch.TRACKERS`.
    """
    chosen = get_tracker(tracker)
    pitch = PitchStream(chosen, sample_rate_hz=sample_rate_hz, gain=level_gain(peak))
    energy = LevelStream(hop=hop, power=mean_square)
    loudness = LevelStream(hop=hop, power=loudness_power(sample_rate_hz))
    streams: tuple[PitchStream | LevelStream, ...] = (pitch, energy, loudness)
    n_samples = 0
    for block in blocks:
        n_samples += len(block)
        for stream in streams:
            stream.push(block)
    f0_hz, confidence = onto_grid(
        pitch.finish(),
        n_frames=count_frames(n_samples, hop=hop),
        frame_rate_hz=sample_rate_hz / hop,
        voiced_confidence=chosen.voiced_confidence,
    )
    rms_energy_db = energy.finish()
    level_db = loudness.finish() if input_kind == "loudness" else rms_energy_db
    return SourceFeatures(f0_hz, confidence, level_db, rms_energy_db, n_samples)
