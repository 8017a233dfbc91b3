"""How much memory training takes, before anything is trained.

A worker holds TensorFlow itself, the data of its instrument, and while it trains a group: for every model the arrays of
synthesiser and loss, which are copies of the batch's audio in one shape or another (columns, spectra, gradients), and
the decoders. The counts of copies below were fitted to peaks measured by `make bench-memory`, which prints measured and
estimated side by side. Fit them anew when synthesiser or loss change.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from tinytimbre.config import SweepConfig
from tinytimbre.decoders.spec import DecoderSpec
from tinytimbre.errors import TinyTimbreError

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
    specs: Sequence[DecoderSpec], *, config: SweepConfig, recorded_secs: float, groups: int = 1
) -> MemoryEstimate:
    """Peak of a worker that trains these decoders side by side.

    Args:
        specs: of the group.
        config: of the sweep: batch, clip length, frame rate.
        recorded_secs: training and validation audio of the instrument.
        groups: as large as this that the worker trains one after the other.
    """
    samples = recorded_secs * config.audio.sample_rate_hz
    training = POOL_BYTES_PER_SAMPLE * samples + RUNTIME_BYTES + group_bytes(specs, config=config)
    kept = KEPT_BYTES_PER_MODEL * len(specs) * (groups - 1)
    peak = max(training + kept, READING_BYTES_PER_SAMPLE * samples)
    return MemoryEstimate(worker=round(TENSORFLOW_BYTES + peak), shared=TENSORFLOW_BYTES)


def group_bytes(specs: Sequence[DecoderSpec], *, config: SweepConfig) -> float:
    """Arrays of one training step of a group."""
    training, rate = config.training, config.features.frame_rate_hz
    frames = max(2, round(training.clip_secs * rate))
    audio = FLOAT_BYTES * training.batch_size * frames * config.hop
    seen = FLOAT_BYTES * training.batch_size * (frames + round(training.warmup_secs * rate))
    return sum(
        MODEL_COPIES * audio
        + DECODER_COPIES * seen * activations_per_frame(spec)
        + WEIGHT_COPIES * FLOAT_BYTES * spec.parameters
        for spec in specs
    )


def activations_per_frame(spec: DecoderSpec) -> int:
    """Numbers that a decoder computes in a frame."""
    if spec.kind == "gru":
        return (4 + spec.depth) * spec.width + spec.n_controls
    return (1 + spec.depth * (spec.kernel_size + 2)) * spec.width + spec.n_controls
