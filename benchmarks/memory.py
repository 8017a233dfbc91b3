"""Peak memory of training, measured and estimated, for quite different groups: what `tinytimbre.training.memory` says.

    make bench-memory

Each group trains three steps or more and validates in a process of its own, as a worker of a sweep does. The last line
is JSON: name → measured and estimated bytes and their ratio. Recalibrate the constants of `tinytimbre.training.memory`
where a ratio leaves 0.7 … 1.3. With the name of a case it prints that case's seconds of CPU a step, and bytes.
"""

from __future__ import annotations

import dataclasses
import json
import resource
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from tinytimbre.config import SweepConfig
from tinytimbre.decoders.spec import DecoderSpec
from tinytimbre.training.memory import TENSORFLOW_BYTES, estimate_memory

if TYPE_CHECKING:
    from tinytimbre.training.clips import Batch
    from tinytimbre.training.group import ModelGroup

MOST_STEPS, ENOUGH_SECS = 20, 3.0
SMALL_GRU = {"kind": "gru", "harmonics": 60, "noise_bands": 65, "width": 48}
SMALL_CNN = {"kind": "cnn", "harmonics": 60, "noise_bands": 17, "width": 16, "depth": 4}
LARGE_GRU = {"kind": "gru", "harmonics": 100, "noise_bands": 65, "width": 512, "depth": 2}
ROOM = {"reverb_bands": 8}
SIX, FOUR, TWO = [2048, 1024, 512, 256, 128, 64], [2048, 512, 128, 64], [512, 128]


@dataclasses.dataclass(frozen=True)
class Case:
    """A group to train: its decoders, the section ``training``, frames per second, and who teaches it, if anybody."""

    decoders: list[dict]
    training: dict
    frame_rate_hz: float = 50
    teacher: dict | None = None

    @property
    def config(self) -> SweepConfig:
        """A sweep that trains such groups."""
        features = {"frame_rate_hz": self.frame_rate_hz}
        values = {"training": self.training, "features": features, "search": {"space": {"width": [1]}}}
        return SweepConfig.model_validate({"name": "memory", **values})

    @property
    def specs(self) -> list[DecoderSpec]:
        """The group's decoders."""
        return [_spec(decoder) for decoder in self.decoders]

    def estimate(self) -> int:
        """Bytes of the worker, without recordings."""
        teacher = _spec(self.teacher) if self.teacher else None
        return estimate_memory(self.specs, config=self.config, recorded_secs=0, teacher=teacher).worker


def _spec(decoder: dict) -> DecoderSpec:
    return DecoderSpec.model_validate({"input": "loudness", **decoder})


CASES = {
    "one small GRU": Case([SMALL_GRU], {"batch_size": 4, "fft_sizes": FOUR}),
    "four small GRUs": Case([SMALL_GRU] * 4, {"batch_size": 4, "fft_sizes": FOUR}),
    "four CNNs, six FFTs": Case([SMALL_CNN] * 4, {"batch_size": 8, "fft_sizes": SIX}),
    "the same with rooms": Case([SMALL_CNN | ROOM] * 4, {"batch_size": 8, "fft_sizes": SIX}),
    "two CNNs, 64 s a batch": Case([SMALL_CNN] * 2, {"batch_size": 16, "clip_secs": 4.0, "fft_sizes": SIX}),
    "large GRU, 250 frames/s": Case([LARGE_GRU], {"batch_size": 8, "fft_sizes": SIX}, 250),
    "its student": Case([SMALL_GRU], {"batch_size": 8, "fft_sizes": SIX}, 250, teacher=LARGE_GRU),
    "eight CNNs, two FFTs": Case([SMALL_CNN] * 8, {"batch_size": 8, "clip_secs": 2.0, "fft_sizes": TWO}),
    "eight with rooms of 24 bands": Case(
        [SMALL_CNN | {"reverb_bands": 24}] * 8, {"batch_size": 8, "clip_secs": 2.0, "fft_sizes": TWO}
    ),
}


def measure(name: str) -> int:
    """Peak resident bytes of a process that trains the case."""
    done = subprocess.run([sys.executable, __file__, name], check=True, capture_output=True, text=True)
    return int(done.stdout.split()[-1])


def train(name: str) -> None:
    """Trains the case and prints what a step took but for the first, seconds of CPU, and this process's peak, bytes."""
    import numpy as np

    from tinytimbre.decoders import InputRange
    from tinytimbre.sweep.trainer import clip_shape
    from tinytimbre.sweep.worker import set_up_tensorflow
    from tinytimbre.synthesis.reverb import RESPONSE_SECS
    from tinytimbre.training.clips import Batch
    from tinytimbre.training.group import ModelGroup

    set_up_tensorflow(threads=1)
    case = CASES[name]
    config, specs = case.config, case.specs
    shape, rng = clip_shape(config), np.random.default_rng(0)
    seen = shape.frames + round(config.training.warmup_secs * case.frame_rate_hz)
    size = (shape.clips, shape.samples)
    past = round(RESPONSE_SECS * shape.sample_rate_hz) if any(spec.reverb_bands for spec in specs) else 0
    batch = Batch(
        audio=rng.normal(scale=0.1, size=size).astype(np.float32),
        cycles=rng.random(size, dtype=np.float32),
        f0_samples_hz=np.full(size, 220, np.float32),
        f0_hz=np.full((shape.clips, shape.frames), 220, np.float32),
        inputs={"loudness": rng.random((shape.clips, seen, 2), dtype=np.float32)},
        white=rng.random((shape.clips, shape.frames, shape.hop), dtype=np.float32),
        past=rng.normal(scale=0.1, size=(shape.clips, past)).astype(np.float32),
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
    if case.teacher:
        teach(group, _spec(case.teacher), batch)
    seconds: list[float] = []
    while len(seconds) < 3 or (len(seconds) < MOST_STEPS and sum(seconds[1:]) < ENOUGH_SECS):
        started = time.process_time()
        group.train_step(batch, step=len(seconds))
        seconds.append(time.process_time() - started)
    group.validation_losses([batch])
    print(f"{np.median(seconds[1:]):.4f}", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def teach(group: ModelGroup, teacher: DecoderSpec, batch: Batch) -> None:
    """A few steps on the controls of a teacher, as distillation begins."""
    from tinytimbre.decoders import build_decoder
    from tinytimbre.training.distillation import Distiller

    distiller = Distiller(
        build_decoder(teacher),
        students=group.decoders,
        optimisers=group.optimisers,
        learning_rates=[1e-3] * len(group.decoders),
        total_steps=100,
        shape=group.shape,
    )
    for step in range(3):
        distiller.train_step(batch, step=step)


def main() -> None:
    """All cases, one after the other."""
    found = {}
    print("group: MB measured, estimated, measured above TensorFlow's own; ratio")
    for name, case in CASES.items():
        peak, estimate = measure(name), case.estimate()
        found[name] = {"measured": peak, "estimated": estimate, "ratio": round(estimate / peak, 3)}
        numbers = [f"{value / 1e6:6.0f}" for value in (peak, estimate, peak - TENSORFLOW_BYTES)]
        print(f"{name:28}", *numbers, f"{estimate / peak:.2f}", flush=True)
    print(json.dumps(found))


if __name__ == "__main__":
    train(sys.argv[1]) if len(sys.argv) > 1 else main()
