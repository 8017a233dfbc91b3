"""What bounds a training step: per stage the time, the operations and the bytes, beside what the machine can do.

Operations and bytes are counted from the shapes, not measured. A transform of n points counts 5 n log2 n operations, a
multiply-add two. Bytes are those that a stage streams through: a block's working set in the cache is not counted. The
machine's own rates are measured in the same process: a product of two 1024 x 1024 matrices, and a copy of 256 MB.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np

REPETITIONS = 8
COMPARISON_OPERATIONS = 45
"""Of one bin: two square roots and divisions, a logarithm's polynomial, separation and recombination."""


@dataclasses.dataclass(frozen=True)
class Stage:
    """One part of a step of all models together."""

    name: str
    milliseconds: float
    gigaflop: float
    gigabytes: float

    def bound(self, *, gigaflops: float, bandwidth: float) -> tuple[str, float]:
        """What the stage comes closest to, and how close (1 is the machine's limit)."""
        seconds = self.milliseconds / 1e3
        shares = {"arithmetic": self.gigaflop / seconds / gigaflops, "memory": self.gigabytes / seconds / bandwidth}
        name = max(shares, key=lambda key: shares[key])
        return name, shares[name]


def machine_rates() -> tuple[float, float]:
    """Gigaflop/s of a float32 matrix product in TensorFlow, and gigabytes/s of a copy (read plus written)."""
    import tensorflow as tf

    matrix = tf.random.uniform([1024, 1024])
    product_ms = _milliseconds(lambda: tf.matmul(matrix, matrix))
    source = np.ones(1 << 26, np.float32)
    target = np.empty_like(source)
    copy_ms = _milliseconds(lambda: np.copyto(target, source))
    return 2 * 1024**3 / product_ms / 1e6, 2 * source.nbytes / copy_ms / 1e6


def decoder_gigaflop(spec: Any, *, frames: int) -> float:
    """Forward and the two products backward for `frames` frames, clips included."""
    return 6e-9 * spec.macs_per_frame * frames


def measure_stages(group: Any, batch: Any) -> list[Stage]:
    """Times every stage of a group's step on its own, gradient included.

    Args:
        group: a `tinytimbre.training.group.ModelGroup`.
        batch: a `tinytimbre.training.clips.Batch`.
    """
    import tensorflow as tf

    tensors = {name: tf.constant(value) for name, value in vars(batch).items() if name != "inputs"}
    inputs = [tf.constant(batch.inputs[spec.input]) for spec in group.specs]
    weights = [list(decoder.weights.values()) for decoder in group.decoders]
    clips, frames = batch.f0_hz.shape
    counts = [_decoders(group, clips * frames), _harmonics(group, batch), _noise(group), _loss(group)]
    most = max(spec.harmonics for spec in group.specs)
    amplitudes = tf.random.uniform([len(group.specs), clips, frames, most])
    magnitudes = [tf.random.uniform([clips, frames, spec.noise_bands]) for spec in group.specs]
    audio = 0.1 * tf.random.normal([len(group.specs), clips, batch.audio.shape[1]])
    from tinytimbre.synthesis.batched import harmonic_audio
    from tinytimbre.training.loss import spectral_loss

    def decode() -> list[tf.Tensor]:
        return [decoder(values) for decoder, values in zip(group.decoders, inputs, strict=True)]

    calls: dict[str, tuple[Callable[[], Any], Any]] = {
        "decoders": (decode, weights),
        "harmonics": (
            lambda: harmonic_audio(amplitudes, tensors["cycles"], tensors["f0_samples_hz"], shape=group.shape),
            amplitudes,
        ),
        "noise": (lambda: group._noise.audio(magnitudes, tensors["white"]), magnitudes),
        "spectral loss": (lambda: spectral_loss(audio, tensors["audio"], fft_sizes=group._config.fft_sizes), audio),
    }
    return [
        Stage(name, _milliseconds(_with_gradient(*call)), gigaflop, gigabytes)
        for (name, call), (gigaflop, gigabytes) in zip(calls.items(), counts, strict=True)
    ]


def _with_gradient(function: Callable[[], Any], sources: Any) -> Callable[[], Any]:
    import tensorflow as tf

    @tf.function(autograph=False)
    def both() -> Any:
        with tf.GradientTape() as tape:
            for tensor in tf.nest.flatten(sources):
                tape.watch(tensor)
            total = tf.add_n([tf.reduce_sum(value) for value in tf.nest.flatten(function())])
        return tape.gradient(total, sources)

    return both


def _milliseconds(function: Callable[[], Any]) -> float:
    """The fastest of several calls: company on the machine only ever adds time."""
    function()
    times = []
    for _ in range(REPETITIONS):
        started = time.perf_counter()
        function()
        times.append(time.perf_counter() - started)
    return 1e3 * min(times)


def _decoders(group: Any, frames: int) -> tuple[float, float]:
    """Weights are read three times a step of the recurrence by a GRU, three times in all by a CNN."""
    flop = sum(decoder_gigaflop(spec, frames=frames) for spec in group.specs)
    passes = [group.shape.frames if spec.kind == "gru" else 1 for spec in group.specs]
    return flop, sum(12e-9 * spec.parameters * count for spec, count in zip(group.specs, passes, strict=True))


def _harmonics(group: Any, batch: Any) -> tuple[float, float]:
    """A rotation (6 operations) for all models, then a multiply-add for the amplitude and one for its slope."""
    audible = np.minimum(
        max(spec.harmonics for spec in group.specs), np.ceil(group.shape.sample_rate_hz / 2 / batch.f0_samples_hz) - 1
    ).sum()
    models = len(group.specs)
    return 2e-9 * audible * (6 + 4 * models), 8e-9 * batch.audio.size * (models + 3)


def _noise(group: Any) -> tuple[float, float]:
    """Four transforms per two frames, two of them for the gradient."""
    shape, flop, size_total = group.shape, 0.0, 0.0
    for spec in group.specs:
        size = group._noise._filters[spec.noise_bands]._plan.size
        flop += 1e-9 * shape.clips * shape.frames * (2 * 5 * size * math.log2(size) + 8 * size)
        size_total += size
    # Audio is loaded and stored by the overlap, loaded for the gradient; the noise's spectra are read twice.
    return flop, 4e-9 * shape.clips * shape.frames * size_total * (3 + 2)


def _loss(group: Any) -> tuple[float, float]:
    """Two transforms per two frames, and the comparison of every bin."""
    shape, models = group.shape, len(group.specs)
    flop = gigabytes = 0.0
    for size in group._config.fft_sizes:
        frames = 4 * shape.clips * shape.samples / size
        per_frame = 5 * size * math.log2(size) + COMPARISON_OPERATIONS * size / 2 + 2 * size
        flop += 1e-9 * models * frames * per_frame
        # Loaded for the frame, loaded and stored for the gradient, and half as many magnitudes.
        gigabytes += 4e-9 * models * frames * size * (3 + 0.5)
    return flop, gigabytes
