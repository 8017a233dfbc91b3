"""Peak memory of training, measured and estimated, for quite different groups: what `tinytimbre.training.memory` says.

    make bench-memory

Each group trains three steps and validates in a process of its own, as a worker of a sweep does. The last line is
JSON: name → measured and estimated bytes and their ratio. Recalibrate the constants of `tinytimbre.training.memory`
where a ratio leaves 0.7 … 1.3.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys

from tinytimbre.config import SweepConfig
from tinytimbre.decoders.spec import DecoderSpec
from tinytimbre.training.memory import TENSORFLOW_BYTES, estimate_memory

SMALL_GRU = {"kind": "gru", "harmonics": 60, "noise_bands": 65, "width": 48}
SMALL_CNN = {"kind": "cnn", "harmonics": 60, "noise_bands": 17, "width": 16, "depth": 4}
LARGE_GRU = {"kind": "gru", "harmonics": 100, "noise_bands": 65, "width": 512, "depth": 2}
SIX, FOUR, TWO = [2048, 1024, 512, 256, 128, 64], [2048, 512, 128, 64], [512, 128]
CASES = {
    "one small GRU": ([SMALL_GRU], {"batch_size": 4, "fft_sizes": FOUR}, 50),
    "four small GRUs": ([SMALL_GRU] * 4, {"batch_size": 4, "fft_sizes": FOUR}, 50),
    "four CNNs, six FFTs": ([SMALL_CNN] * 4, {"batch_size": 8, "fft_sizes": SIX}, 50),
    "two CNNs, 64 s a batch": ([SMALL_CNN] * 2, {"batch_size": 16, "clip_secs": 4.0, "fft_sizes": SIX}, 50),
    "large GRU, 250 frames/s": ([LARGE_GRU], {"batch_size": 8, "fft_sizes": SIX}, 250),
    "eight CNNs, two FFTs": ([SMALL_CNN] * 8, {"batch_size": 8, "clip_secs": 2.0, "fft_sizes": TWO}, 50),
}


def configuration(training: dict, frame_rate_hz: float) -> SweepConfig:
    """A sweep with this training section."""
    values = {"training": training, "features": {"frame_rate_hz": frame_rate_hz}, "search": {"space": {"width": [1]}}}
    return SweepConfig.model_validate({"name": "memory", **values})


def specs_of(decoders: list[dict]) -> list[DecoderSpec]:
    """The group's decoders."""
    return [DecoderSpec.model_validate({"input": "loudness", **values}) for values in decoders]


def measure(name: str) -> int:
    """Peak resident bytes of a process that trains the case."""
    done = subprocess.run([sys.executable, __file__, name], check=True, capture_output=True, text=True)
    return int(done.stdout.split()[-1])


def train(name: str) -> None:
    """Trains the case and prints this process's peak."""
    import numpy as np

    from tinytimbre.decoders import InputRange
    from tinytimbre.sweep.trainer import clip_shape
    from tinytimbre.sweep.worker import set_up_tensorflow
    from tinytimbre.training.clips import Batch
    from tinytimbre.training.group import ModelGroup

    set_up_tensorflow(threads=1)
    decoders, training, rate = CASES[name]
    config, specs = configuration(training, rate), specs_of(decoders)
    shape, rng = clip_shape(config), np.random.default_rng(0)
    seen = shape.frames + round(config.training.warmup_secs * rate)
    size = (shape.clips, shape.samples)
    batch = Batch(
        audio=rng.normal(scale=0.1, size=size).astype(np.float32),
        cycles=rng.random(size, dtype=np.float32),
        f0_samples_hz=np.full(size, 220, np.float32),
        f0_hz=np.full((shape.clips, shape.frames), 220, np.float32),
        inputs={"loudness": rng.random((shape.clips, seen, 2), dtype=np.float32)},
        white=rng.random((shape.clips, shape.frames, shape.hop), dtype=np.float32),
        past=np.zeros((shape.clips, 0), np.float32),
    )
    group = ModelGroup(
        specs,
        seeds=[0] * len(specs),
        input_ranges=[InputRange()] * len(specs),
        learning_rates=[1e-3] * len(specs),
        total_steps=100,
        shape=shape,
        config=config.training,
    )
    for step in range(3):
        group.train_step(batch, step=step)
    group.validation_losses([batch])
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def main() -> None:
    """All cases, one after the other."""
    found = {}
    print("group: MB measured, estimated, measured above TensorFlow's own; ratio")
    for name, (decoders, training, rate) in CASES.items():
        peak = measure(name)
        estimate = estimate_memory(specs_of(decoders), config=configuration(training, rate), recorded_secs=0).worker
        found[name] = {"measured": peak, "estimated": estimate, "ratio": round(estimate / peak, 3)}
        numbers = [f"{value / 1e6:6.0f}" for value in (peak, estimate, peak - TENSORFLOW_BYTES)]
        print(f"{name:26}", *numbers, f"{estimate / peak:.2f}", flush=True)
    print(json.dumps(found))


if __name__ == "__main__":
    train(sys.argv[1]) if len(sys.argv) > 1 else main()
