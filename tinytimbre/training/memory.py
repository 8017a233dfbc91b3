"""How much memory training takes, before anything is trained.

A worker holds TensorFlow itself, the data of its instrument, and while it trains a group: for every model the arrays of
synthesiser and loss, which are copies of the batch's audio in one shape or another (columns, spectra, gradients), and
the decoders; with rooms their transforms, and a student's teacher. The counts of copies below were fitted to peaks
measured by `make bench-memory`, which prints measured and estimated side by side. Fit them anew when synthesiser or
loss change.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from tinytimbre.config import SweepConfig
from tinytimbre.decoders.spec import DecoderSpec
from tinytimbre.errors import TinyTimbreError
from tinytimbre.synthesis.reverb import RESPONSE_SECS, convolution_size

TENSORFLOW_BYTES = 680_000_000
"""Resident before anything is built; workers forked from one server share it."""

RUNTIME_BYTES = 240_000_000
"""Graphs, compiled kernels and their compiler, threads' arenas."""

MODEL_COPIES = 18.0
"""Arrays of the size of the batch's audio that each model adds."""

DECODER_COPIES = 4.0
"""Arrays of the size of a decoder's activations, forward and backward."""

WEIGHT_COPIES = 8.0
"""Weights, gradients, two moments, average, and what updates them."""

ROOM_COPIES = 8.0
"""Arrays of the length of the transforms that convolve the batch with a room."""

ROOM_BAND_COPIES = 6.0
"""Arrays [bands, samples of the response], forward and backward."""

TEACHER_COPIES = 2.0
"""Arrays of the size of a teacher's activations: it only plays."""

POOL_BYTES_PER_SAMPLE = 12
READING_BYTES_PER_SAMPLE = 40
"""The pool keeps audio, phase and frequency in float32; making it takes float64 and copies."""

KEPT_BYTES_PER_MODEL = 6_000_000
"""Of a group that is trained: TensorFlow keeps a graph that has gradients of its own until the process ends."""

FLOAT_BYTES = 4


@dataclasses.dataclass(frozen=True)
class MemoryEstimate:
    """Bytes of one worker at its peak, and how many of them every worker shares with the others."""

    worker: int
    shared: int

    def all_workers(self, jobs: int) -> int:
        """Bytes of `jobs` workers at their peaks together."""
        return self.shared + jobs * (self.worker - self.shared)


def check_memory(
    estimate: MemoryEstimate, *, config: SweepConfig, jobs: int, rest_bytes: int, machine_bytes: int
) -> None:
    """Refuses a sweep whose workers cannot fit.

    Args:
        estimate: of the largest group.
        config: of the sweep.
        jobs: workers at a time.
        rest_bytes: of the process that runs them.
        machine_bytes: that all may use together.

    Raises:
        TinyTimbreError: more than the machine has, or a limit per worker that TensorFlow alone exceeds.
    """
    limit = config.budget.worker_memory_mb
    if limit is not None and limit * 1_000_000 <= estimate.shared:
        raise TinyTimbreError(
            f"budget.worker_memory_mb must leave room beside TensorFlow's own {estimate.shared / 1e6:.0f} MB",
            got=f"{limit}",
            remedy=f"this sweep needs about {estimate.worker / 1e6:.0f}",
        )
    needed = rest_bytes + estimate.all_workers(jobs)
    if needed > machine_bytes:
        raise TinyTimbreError(
            "the processes of a sweep must fit into the machine's memory",
            got=f"about {needed / 1e9:.1f} GB for {jobs} workers at {estimate.worker / 1e9:.1f} GB and the pipeline, "
            f"{machine_bytes / 1e9:.1f} GB there",
            remedy="fewer processes (--jobs), or smaller training.batch_size, training.clip_secs, "
            "training.side_by_side or search.space.width",
        )


def estimate_memory(
    specs: Sequence[DecoderSpec],
    *,
    config: SweepConfig,
    recorded_secs: float,
    groups: int = 1,
    teacher: DecoderSpec | None = None,
) -> MemoryEstimate:
    """Peak of a worker that trains these decoders side by side.

    Args:
        specs: of the group.
        config: of the sweep: batch, clip length, frame rate.
        recorded_secs: training and validation audio of the instrument.
        groups: as large as this that the worker trains one after the other.
        teacher: of the group, where it consists of students.
    """
    samples = recorded_secs * config.audio.sample_rate_hz
    training = POOL_BYTES_PER_SAMPLE * samples + RUNTIME_BYTES + group_bytes(specs, config=config)
    training += teacher_bytes(teacher, config=config) if teacher else 0.0
    kept = KEPT_BYTES_PER_MODEL * len(specs) * (groups - 1)
    peak = max(training + kept, READING_BYTES_PER_SAMPLE * samples)
    return MemoryEstimate(worker=round(TENSORFLOW_BYTES + peak), shared=TENSORFLOW_BYTES)


def group_bytes(specs: Sequence[DecoderSpec], *, config: SweepConfig) -> float:
    """Arrays of one training step of a group."""
    audio = FLOAT_BYTES * config.training.batch_size * _clip_frames(config) * config.hop
    return sum(
        MODEL_COPIES * audio
        + DECODER_COPIES * _bytes_seen(config) * activations_per_frame(spec)
        + WEIGHT_COPIES * FLOAT_BYTES * spec.parameters
        + room_bytes(spec, config=config)
        for spec in specs
    )


def room_bytes(spec: DecoderSpec, *, config: SweepConfig) -> float:
    """Arrays of a training step that are there because of the model's room; 0 without one."""
    if not spec.reverb_bands:
        return 0.0
    transforms = FLOAT_BYTES * config.training.batch_size * room_samples(config)
    bands = FLOAT_BYTES * spec.reverb_bands * RESPONSE_SECS * config.audio.sample_rate_hz
    return ROOM_COPIES * transforms + ROOM_BAND_COPIES * bands


def room_samples(config: SweepConfig) -> int:
    """Length of the transforms that convolve one clip with a room."""
    response = round(RESPONSE_SECS * config.audio.sample_rate_hz)
    return convolution_size(_clip_frames(config) * config.hop, past=response, response=response)


def teacher_bytes(teacher: DecoderSpec, *, config: SweepConfig) -> float:
    """What the controls of a teacher take."""
    activations = TEACHER_COPIES * _bytes_seen(config) * activations_per_frame(teacher)
    return activations + TEACHER_COPIES * FLOAT_BYTES * teacher.parameters


def _clip_frames(config: SweepConfig) -> int:
    return max(2, round(config.training.clip_secs * config.features.frame_rate_hz))


def _bytes_seen(config: SweepConfig) -> int:
    """Of one number a frame, over all frames that a decoder sees in a step."""
    warmup = round(config.training.warmup_secs * config.features.frame_rate_hz)
    return FLOAT_BYTES * config.training.batch_size * (_clip_frames(config) + warmup)


def activations_per_frame(spec: DecoderSpec) -> int:
    """Numbers that a decoder computes in a frame."""
    if spec.kind == "gru":
        return (4 + spec.depth) * spec.width + spec.n_controls
    return (1 + spec.depth * (spec.kernel_size + 2)) * spec.width + spec.n_controls
