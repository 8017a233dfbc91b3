"""Fundamental frequency of one voice, on the frame grid, by any of several trackers.

    f0_hz, confidence = track_pitch(audio, sample_rate_hz=16_000, frame_rate_hz=50)

A tracker (`PitchTracker`) answers with a curve on a grid of its own; everything around it is shared:
windows of half a minute with context on both sides (bounded memory for any length), level
normalisation, repair of isolated octave slips, and interpolation onto the frame grid.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib.metadata
import itertools
from typing import Protocol

import numpy as np

from tinytimbre.errors import TinyTimbreError
from tinytimbre.features.frames import checked_audio, count_frames, hop_samples
from tinytimbre.features.scaling import hz_to_midi, midi_to_hz

DEFAULT_F0_HZ = 220.0
"""Value of every frame of a recording in which nothing is voiced (its confidence is 0)."""

QUIET_PEAK = 10 ** (-35 / 20)
SILENT_PEAK = 10 ** (-70 / 20)
NORMAL_PEAK = 0.25

WINDOW_SECS = 30.0
# 16 hops of SwiftF0: its receptive field reaches 11 hops; keeps its frames on one grid over all windows.
CONTEXT_SECS = 0.256

# From the last frame before a slip to the first one after it: up to three frames of 16 ms.
MAX_SLIP_SECS = 0.07
OCTAVE_TOLERANCE_SEMITONES = 1.0


@dataclasses.dataclass(frozen=True)
class PitchCurve:
    """What a tracker found at its own instants: seconds, Hz (where unvoiced: anything), confidence in [0, 1]; [N]."""

    seconds: np.ndarray
    f0_hz: np.ndarray
    confidence: np.ndarray

    def between(self, start: float, end: float) -> PitchCurve:
        """The part at ``start <= seconds < end``; a microsecond of slack absorbs rounding."""
        kept = (self.seconds >= start - 1e-6) & (self.seconds < end - 1e-6)
        return PitchCurve(self.seconds[kept], self.f0_hz[kept], self.confidence[kept])


class PitchTracker(Protocol):
    """Anything that can follow the pitch of one voice."""

    name: str
    version: str
    voiced_confidence: float

    def curve(self, audio: np.ndarray, *, sample_rate_hz: int) -> PitchCurve:
        """Pitch of float32 ``audio`` [n], n >= 1, with ``seconds`` counted from its first sample."""
        ...


class SwiftF0Tracker:
    """SwiftF0 (14,386 parameters, weights in its wheel): a frame every 16 ms, 46.9 to 2093.8 Hz.

    Its frame ``i`` is centred at sample ``256 * i`` of 16 kHz audio (tests/features/test_pitch.py measures
    it on glides), so no offset is corrected. One thread: recordings run in parallel, frames need not.
    """

    name = "swift_f0"
    voiced_confidence = 0.5

    def __init__(self) -> None:
        import swift_f0

        self.version = importlib.metadata.version("swift-f0")
        self._detector = swift_f0.SwiftF0(threads=1, spin=False)

    def curve(self, audio: np.ndarray, *, sample_rate_hz: int) -> PitchCurve:
        """See `PitchTracker.curve`."""
        if sample_rate_hz != 16_000:
            import soxr

            audio = soxr.resample(audio, sample_rate_hz, 16_000)
        if len(audio) == 0:
            return PitchCurve(np.zeros(1), np.full(1, DEFAULT_F0_HZ), np.zeros(1))
        found = self._detector.detect(audio, 16_000)
        return PitchCurve(found.timestamps, found.pitch_hz, np.clip(found.confidence, 0.0, 1.0))


class PyinTracker:
    """Probabilistic YIN (Mauch and Dixon 2014) as librosa has it: the second opinion, about 30 times slower."""

    name = "pyin"
    voiced_confidence = 0.5
    min_hz = 46.875
    max_hz = 2093.75
    hop_secs = 0.016
    frame_secs = 0.128

    def __init__(self) -> None:
        self.version = importlib.metadata.version("librosa")

    def curve(self, audio: np.ndarray, *, sample_rate_hz: int) -> PitchCurve:
        """See `PitchTracker.curve`."""
        import librosa

        hop = round(self.hop_secs * sample_rate_hz)
        f0_hz, voiced, probability = librosa.pyin(
            audio,
            fmin=self.min_hz,
            fmax=self.max_hz,
            sr=sample_rate_hz,
            frame_length=round(self.frame_secs * sample_rate_hz),
            hop_length=hop,
        )
        # Viterbi's decision and the probability can disagree; a frame is voiced here where both say so.
        confidence = np.where(voiced, probability, np.minimum(probability, 0.49))
        return PitchCurve(np.arange(len(f0_hz)) * hop / sample_rate_hz, f0_hz, np.clip(confidence, 0.0, 1.0))


TRACKERS: dict[str, type[PitchTracker]] = {"swift_f0": SwiftF0Tracker, "pyin": PyinTracker}


@functools.cache
def get_tracker(name: str) -> PitchTracker:
    """The tracker registered under ``name``; made once per process.

    Raises:
        TinyTimbreError: no tracker has this name.
    """
    if name not in TRACKERS:
        raise TinyTimbreError(
            "the pitch tracker must be one that exists",
            got=repr(name),
            remedy=f"set features.f0_tracker to one of: {', '.join(TRACKERS)}",
        )
    return TRACKERS[name]()


class PitchStream:
    """Tracks audio that arrives in blocks; the result does not depend on how it was cut.

        stream = PitchStream(get_tracker("swift_f0"), sample_rate_hz=16_000, gain=1.0)
        for block in blocks:
            stream.push(block)
        curve = stream.finish()

    Holds at most one window of audio, and the curve itself.
    """

    def __init__(self, tracker: PitchTracker, *, sample_rate_hz: int, gain: float = 1.0) -> None:
        self._tracker = tracker
        self._sample_rate_hz = sample_rate_hz
        self._gain = np.float32(gain)
        self._window = round(WINDOW_SECS * sample_rate_hz)
        self._context = round(CONTEXT_SECS * sample_rate_hz)
        self._buffer = np.zeros(0, np.float32)
        self._buffer_start = 0
        self._done = 0
        self._parts: list[PitchCurve] = []

    def push(self, block: np.ndarray) -> None:
        """Takes the next samples, float32 [n]."""
        self._buffer = np.concatenate([self._buffer, block * self._gain])
        while self._buffer_start + len(self._buffer) >= self._done + self._window + self._context:
            self._track_window(self._done + self._window)

    def finish(self) -> PitchCurve:
        """The curve of everything pushed."""
        end = self._buffer_start + len(self._buffer)
        if end > self._done:
            self._track_window(end)
        fields = ("seconds", "f0_hz", "confidence")
        none = np.zeros(0)
        return PitchCurve(*(np.concatenate([none, *(getattr(part, name) for part in self._parts)]) for name in fields))

    def _track_window(self, end: int) -> None:
        """Appends the curve of the samples from where the last window ended to ``end``; drops what is not needed."""
        rate = self._sample_rate_hz
        audio = self._buffer[: end + self._context - self._buffer_start]
        curve = self._tracker.curve(audio, sample_rate_hz=rate)
        shifted = dataclasses.replace(curve, seconds=curve.seconds + self._buffer_start / rate)
        self._parts.append(shifted.between(self._done / rate, end / rate))
        self._done = end
        dropped = max(0, end - self._context - self._buffer_start)
        self._buffer = self._buffer[dropped:]
        self._buffer_start += dropped


def track_pitch(
    audio: np.ndarray, *, sample_rate_hz: int, frame_rate_hz: float, tracker: str = "swift_f0"
) -> tuple[np.ndarray, np.ndarray]:
    """Fundamental frequency of one voice.

    Args:
        audio: float [n], in [-1, 1]; any length, also 0.
        sample_rate_hz: of ``audio``; a whole multiple of the frame rate.
        frame_rate_hz: of the result.
        tracker: a key of `TRACKERS`.

    Returns:
        ``(f0_hz, confidence)``, each float32 [T] with T = ceil(n / hop), frame ``i`` centred at sample
        ``i * hop``. ``f0_hz`` is always > 0: unvoiced stretches are interpolated in log-frequency between
        the voiced frames around them, the ends are held, `DEFAULT_F0_HZ` stands where nothing is voiced.
        ``confidence`` is in [0, 1]; from 0.5 on the tracker calls the frame voiced.

    Raises:
        TinyTimbreError: unknown tracker, audio that is not mono or not finite, or rates that do not divide.
    """
    audio = checked_audio(audio)
    hop = hop_samples(sample_rate_hz=sample_rate_hz, frame_rate_hz=frame_rate_hz)
    chosen = get_tracker(tracker)
    peak = float(np.abs(audio).max(initial=0.0))
    stream = PitchStream(chosen, sample_rate_hz=sample_rate_hz, gain=level_gain(peak))
    stream.push(audio)
    return onto_grid(
        stream.finish(),
        n_frames=count_frames(len(audio), hop=hop),
        frame_rate_hz=frame_rate_hz,
        voiced_confidence=chosen.voiced_confidence,
    )


def level_gain(peak: float) -> float:
    """Gain before tracking: SwiftF0 was trained at usual levels and does not normalise.

    Recordings that peak below -35 dBFS are raised to -12 dBFS, those below -70 dBFS count as silent.
    """
    return NORMAL_PEAK / peak if SILENT_PEAK <= peak < QUIET_PEAK else 1.0


def onto_grid(
    curve: PitchCurve, *, n_frames: int, frame_rate_hz: float, voiced_confidence: float
) -> tuple[np.ndarray, np.ndarray]:
    """Resamples a curve onto frames ``i / frame_rate_hz``; see `track_pitch` for what it returns."""
    times = np.arange(n_frames) / frame_rate_hz
    if n_frames == 0 or len(curve.seconds) == 0:
        return np.full(n_frames, DEFAULT_F0_HZ, np.float32), np.zeros(n_frames, np.float32)
    confidence = np.interp(times, curve.seconds, np.nan_to_num(curve.confidence)).astype(np.float32)
    voiced = (curve.confidence >= voiced_confidence) & np.isfinite(curve.f0_hz) & (curve.f0_hz > 0)
    if not voiced.any():
        return np.full(n_frames, DEFAULT_F0_HZ, np.float32), np.zeros(n_frames, np.float32)
    seconds = curve.seconds[voiced]
    midi = mend_octave_slips(seconds, hz_to_midi(curve.f0_hz[voiced]))
    return midi_to_hz(np.interp(times, seconds, midi)).astype(np.float32), confidence


def mend_octave_slips(seconds: np.ndarray, midi: np.ndarray) -> np.ndarray:
    """Moves isolated octave slips back: runs of at most three frames, whole octaves off, with one pitch on both sides.

    Nothing else is touched: a longer run may be a played octave, and where the pitch differs before and
    after there is no telling which side is right. ``seconds``, ``midi``: [N], voiced frames only.
    """
    starts = np.concatenate([[0], np.flatnonzero(np.abs(np.diff(midi)) > 6.0) + 1, [len(midi)]])
    mended = midi.copy()
    for first, last in itertools.pairwise(starts[1:-1]):
        before, after = mended[first - 1], midi[last]
        off = np.median(midi[first:last]) - before
        octaves = round(off / 12.0)
        close = max(abs(after - before), abs(off - 12.0 * octaves)) <= OCTAVE_TOLERANCE_SEMITONES
        if octaves and close and seconds[last] - seconds[first - 1] <= MAX_SLIP_SECS:
            mended[first:last] -= 12.0 * octaves
    return mended
