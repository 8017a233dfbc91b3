"""Training clips: where every step's batch comes from, a function of the data, the seed and the step alone.

All takes lie end to end in a few flat arrays; a batch is a set of windows into them. Phase is accumulated once per
take in float64. Trials trained on the same data see the same batches, whoever they train beside, so a resumed or
regrouped trial continues as if nothing had happened.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from tinytimbre.config import InputKind
from tinytimbre.errors import TinyTimbreError
from tinytimbre.features.examples import TakeFeatures
from tinytimbre.features.scaling import scale_inputs
from tinytimbre.synthesis import oscillators
from tinytimbre.synthesis.batched import ClipShape

SILENCE_DB = -80.0
VALIDATION_NOISE_STEP = 2**40


@dataclasses.dataclass(frozen=True, eq=False)
class Batch:
    """Arrays of one step, float32. The inputs start ``warmup`` frames before the audio.

    Attributes:
        audio: [clips, samples], the target.
        cycles: [clips, samples], phase of the fundamental in [0, 1).
        f0_samples_hz: [clips, samples].
        f0_hz: [clips, frames].
        inputs: per kind of level [clips, warmup + frames, 2].
        white: [clips, frames, hop], noise in [-1, 1).
        past: [clips, past_samples], the recording up to where the clip begins, silence before its take.
    """

    audio: np.ndarray
    cycles: np.ndarray
    f0_samples_hz: np.ndarray
    f0_hz: np.ndarray
    inputs: dict[InputKind, np.ndarray]
    white: np.ndarray
    past: np.ndarray


class ClipPool:
    """Takes of one split, ready to be cut into clips.

    Args:
        takes: features of one instrument.
        shape: of the batches to cut.
        warmup_frames: frames a decoder sees before the clip; silence where the take has none.
        past_samples: of the recording before each clip, for models with a room; see `Batch.past`.
    """

    def __init__(
        self, takes: Sequence[TakeFeatures], *, shape: ClipShape, warmup_frames: int, past_samples: int = 0
    ) -> None:
        if not takes:
            raise TinyTimbreError("training needs at least one take", got="none", remedy="add recordings")
        self.shape, self.warmup_frames, self.past_samples = shape, warmup_frames, past_samples
        padded = [_pad(take, shape=shape, warmup_frames=warmup_frames) for take in takes]
        self._audio = np.concatenate([take.audio for take in padded])
        self._f0_hz = np.concatenate([take.f0_hz for take in padded])
        self._inputs: dict[InputKind, np.ndarray] = {
            "loudness": np.concatenate([scale_inputs(take.f0_hz, take.loudness_db) for take in padded]),
            "rms_energy": np.concatenate([scale_inputs(take.f0_hz, take.rms_energy_db) for take in padded]),
        }
        phases = [_phase(take, shape=shape) for take in padded]
        self._cycles = np.concatenate([cycles for cycles, _ in phases]).astype(np.float32)
        self._f0_samples_hz = np.concatenate([f0_samples for _, f0_samples in phases]).astype(np.float32)
        self._offsets = np.cumsum([0, *(take.n_frames for take in padded[:-1])])
        self._starts = _clip_starts([take.n_frames for take in padded], shape=shape, warmup_frames=warmup_frames)

    def inputs(self, kind: InputKind) -> np.ndarray:
        """All decoder inputs [frames, 2] of one kind, for their centre and spread."""
        return self._inputs[kind]

    def training_batch(self, *, seed: int, step: int) -> Batch:
        """The batch of a step: clips and noise drawn from (seed, step)."""
        rng = np.random.default_rng([seed, step])
        return self._cut(self._starts[rng.integers(len(self._starts), size=self.shape.clips)], rng)

    def validation_batches(self, *, max_batches: int) -> list[Batch]:
        """Fixed clips spread evenly over the takes, with fixed noise."""
        count = max(1, min(max_batches, len(self._starts) // (self.shape.clips * self.shape.frames)))
        picks = np.linspace(0, len(self._starts) - 1, count * self.shape.clips).round().astype(int)
        rng = np.random.default_rng(VALIDATION_NOISE_STEP)
        return [self._cut(starts, rng) for starts in self._starts[picks].reshape(count, -1)]

    def _cut(self, starts: np.ndarray, rng: np.random.Generator) -> Batch:
        hop, frames = self.shape.hop, self.shape.frames
        samples = starts[:, None] * hop + np.arange(self.shape.samples)
        seen = starts[:, None] + np.arange(-self.warmup_frames, frames)
        return Batch(
            audio=self._audio[samples],
            cycles=self._cycles[samples],
            f0_samples_hz=self._f0_samples_hz[samples],
            f0_hz=self._f0_hz[seen[:, self.warmup_frames :]],
            inputs={kind: values[seen] for kind, values in self._inputs.items()},
            white=2.0 * rng.random((self.shape.clips, frames, hop), dtype=np.float32) - 1.0,
            past=self._past(starts),
        )

    def _past(self, starts: np.ndarray) -> np.ndarray:
        take_starts = self._offsets[np.searchsorted(self._offsets, starts, side="right") - 1]
        samples = starts[:, None] * self.shape.hop + np.arange(-self.past_samples, 0)
        inside = samples >= take_starts[:, None] * self.shape.hop
        return np.where(inside, self._audio[np.maximum(samples, 0)], np.float32(0))


def _pad(take: TakeFeatures, *, shape: ClipShape, warmup_frames: int) -> TakeFeatures:
    """Silence in front for the warm-up, and behind up to one clip."""
    before, after = warmup_frames, max(0, shape.frames - take.n_frames)
    frames = (before, after)
    return dataclasses.replace(
        take,
        audio=np.pad(take.audio, (before * shape.hop, after * shape.hop)),
        f0_hz=np.pad(take.f0_hz, frames, mode="edge"),
        f0_confidence=np.pad(take.f0_confidence, frames),
        loudness_db=np.pad(take.loudness_db, frames, constant_values=SILENCE_DB),
        rms_energy_db=np.pad(take.rms_energy_db, frames, constant_values=SILENCE_DB),
    )


def _phase(take: TakeFeatures, *, shape: ClipShape) -> tuple[np.ndarray, np.ndarray]:
    f0_samples = oscillators.upsample_f0(take.f0_hz, hop=shape.hop)
    return oscillators.accumulate_cycles(f0_samples, sample_rate_hz=shape.sample_rate_hz), f0_samples


def _clip_starts(n_frames: list[int], *, shape: ClipShape, warmup_frames: int) -> np.ndarray:
    """First frame of every clip that lies inside its take, in flat frames."""
    offsets = np.cumsum([0, *n_frames[:-1]])
    ranges = [
        np.arange(offset + warmup_frames, offset + count - shape.frames + 1)
        for offset, count in zip(offsets, n_frames, strict=True)
    ]
    return np.concatenate(ranges)
