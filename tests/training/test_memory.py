"""The estimate of memory against a real training process, and what follows from it."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

import pytest

from tinytimbre.config import SweepConfig
from tinytimbre.decoders import DecoderSpec
from tinytimbre.errors import TinyTimbreError
from tinytimbre.training.memory import MemoryEstimate, check_memory, estimate_memory, room_bytes

ROOT = pathlib.Path(__file__).resolve().parents[2]
CNN = DecoderSpec(kind="cnn", input="loudness", harmonics=60, noise_bands=17, width=16, depth=4)


def config(**training: object) -> SweepConfig:
    values = {"name": "test", "search": {"space": {"width": [1]}}, "training": training}
    return SweepConfig.model_validate(values)


@pytest.mark.parametrize("case", ["four CNNs, six FFTs", "the same with rooms"])
def test_a_measured_peak_is_within_thirty_percent(case: str) -> None:
    """Of what training takes beside TensorFlow itself, which would hide any error; the benchmark has more cases."""
    code = (
        "import json\nfrom benchmarks import memory as m\n"
        f"name = {case!r}\n"
        "print(json.dumps([m.measure(name), m.CASES[name].estimate(), m.TENSORFLOW_BYTES]))\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT, env=environment
    )
    measured, estimated, shared = json.loads(done.stdout)
    assert (estimated - shared) == pytest.approx(measured - shared, rel=0.3)


def test_more_of_anything_takes_more() -> None:
    one = estimate_memory([CNN], config=config(), recorded_secs=0)
    larger = [
        estimate_memory([CNN, CNN], config=config(), recorded_secs=0),
        estimate_memory([CNN], config=config(batch_size=16), recorded_secs=0),
        estimate_memory([CNN], config=config(clip_secs=2.0), recorded_secs=0),
        estimate_memory([CNN.model_copy(update={"harmonics": 120})], config=config(), recorded_secs=0),
        estimate_memory([CNN.model_copy(update={"width": 512})], config=config(), recorded_secs=0),
        estimate_memory([CNN], config=config(), recorded_secs=600),
        estimate_memory([CNN.model_copy(update={"reverb_bands": 8})], config=config(), recorded_secs=0),
        estimate_memory([CNN], config=config(), recorded_secs=0, teacher=CNN),
    ]
    more_bands, longer = {"reverb_bands": 24}, config(clip_secs=2.0)
    assert (
        estimate_memory([CNN.model_copy(update=more_bands)], config=config(), recorded_secs=0).worker
        > larger[-2].worker
    )
    assert room_bytes(CNN.model_copy(update=more_bands), config=longer) > 0 == room_bytes(CNN, config=longer)
    assert all(estimate.worker > one.worker for estimate in larger)
    assert all(estimate.shared == one.shared for estimate in larger)


def test_what_cannot_fit_is_refused_with_a_way_out() -> None:
    estimate = MemoryEstimate(worker=1_000_000_000, shared=600_000_000)
    assert estimate.all_workers(4) == 2_200_000_000
    check_memory(estimate, config=config(), jobs=4, rest_bytes=800_000_000, machine_bytes=3_000_000_000)
    with pytest.raises(TinyTimbreError, match="machine's memory") as caught:
        check_memory(estimate, config=config(), jobs=5, rest_bytes=800_000_000, machine_bytes=3_000_000_000)
    assert "3.4 GB for 5 workers" in caught.value.got
    assert "--jobs" in caught.value.remedy


def test_a_limit_below_tensorflow_itself_is_refused() -> None:
    limited = config().model_copy(update={"budget": config().budget.model_copy(update={"worker_memory_mb": 500})})
    estimate = MemoryEstimate(worker=1_000_000_000, shared=600_000_000)
    with pytest.raises(TinyTimbreError, match="leave room beside TensorFlow"):
        check_memory(estimate, config=limited, jobs=1, rest_bytes=0, machine_bytes=10**12)
