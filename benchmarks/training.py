"""A training step of ddsp 3.7.0 beside ours: same decoder, same batch, same data, one run (`make bench-training`).

The peer is ddsp's own `Harmonic`, `FilteredNoise` and `SpectralLoss` (linear and log magnitudes, six FFT sizes) around
our decoder and optimiser, compiled with `tf.function` as its trainer does. Every cell runs in a fresh process; the two
sides alternate, so that other work on the machine meets both. ``of bound`` is the step over the decoder's own counted
arithmetic at the rate of a large matrix product. Then the small shapes with all cores, by threads of one process and by
processes of one thread, and what bounds our step now, stage by stage (`benchmarks.stages`). The last line is JSON.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import multiprocessing
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from benchmarks import stages

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

SAMPLE_RATE_HZ = 16_000
COMMON = {"input": "loudness", "harmonics": 60, "noise_bands": 65}
SHAPES: dict[str, dict[str, Any]] = {
    "gru64@50": {"decoder": {"kind": "gru", "width": 64}, "rate": 50, "clips": 8, "secs": 1.0},
    "cnn16@50": {"decoder": {"kind": "cnn", "width": 16, "depth": 5}, "rate": 50, "clips": 8, "secs": 1.0},
    "gru512@50": {"decoder": {"kind": "gru", "width": 512, "depth": 1}, "rate": 50, "clips": 16, "secs": 4.0},
    "gru512@250": {"decoder": {"kind": "gru", "width": 512, "depth": 3}, "rate": 250, "clips": 16, "secs": 4.0},
}
SMALL = ("gru64@50", "cnn16@50")


def measure(side: str, name: str, models: int, threads: int, seconds: float) -> dict[str, float]:
    """Median step in ms and peak memory in MB of one side on one shape."""
    _set_up(side, threads)
    step, pool = (_ours if side == "ours" else _ddsp)(SHAPES[name], models)
    step(pool.training_batch(seed=0, step=0), 0)
    times: list[float] = []
    deadline = time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < deadline:
        batch = pool.training_batch(seed=0, step=len(times) + 1)
        started = time.perf_counter()
        step(batch, len(times) + 1)
        times.append(time.perf_counter() - started)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"step_ms": 1e3 * statistics.median(times), "peak_mb": peak_mb}


def _set_up(side: str, threads: int) -> None:
    """Ours as the workers of a sweep do, the peer's as TensorFlow comes."""
    import tensorflow as tf

    from tinytimbre.sweep.worker import set_up_tensorflow

    if side == "ours":
        set_up_tensorflow(threads=threads)
        return
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def bounds(name: str, models: int, threads: int) -> dict[str, Any]:
    """The machine's rates, the decoder's counted arithmetic in ms, and our stages."""
    _set_up("ours", threads)
    gigaflops, bandwidth = stages.machine_rates()
    pool = _pool(SHAPES[name])
    group = _group(SHAPES[name], models, pool)
    frames = pool.shape.clips * pool.shape.frames
    rows = stages.measure_stages(group, pool.training_batch(seed=0, step=0))
    return {
        "gigaflops": gigaflops,
        "gigabytes_per_s": bandwidth,
        "decoder_bound_ms": 1e3 * stages.decoder_gigaflop(group.specs[0], frames=frames) / gigaflops,
        "stages": [
            dataclasses.asdict(row)
            | dict(zip(("bound", "share"), row.bound(gigaflops=gigaflops, bandwidth=bandwidth), strict=True))
            for row in rows
        ],
    }


def _pool(shape: dict[str, Any]) -> Any:
    """Two minutes of a gliding harmonic tone with vibrato, a decaying envelope and breath."""
    import numpy as np

    from tinytimbre.features.examples import TakeFeatures
    from tinytimbre.synthesis.batched import ClipShape
    from tinytimbre.synthesis.oscillators import accumulate_cycles, upsample_f0
    from tinytimbre.training.clips import ClipPool

    rate, secs = shape["rate"], 120
    hop, frames, rng = SAMPLE_RATE_HZ // rate, secs * rate, np.random.default_rng(0)
    seconds = np.arange(frames) / rate
    f0_hz = 300 * 2 ** (np.sin(0.3 * seconds) + 0.02 * np.sin(35 * seconds))
    cycles = accumulate_cycles(upsample_f0(f0_hz, hop=hop), sample_rate_hz=SAMPLE_RATE_HZ)
    level = np.repeat(0.05 + 0.2 * np.abs(np.sin(1.7 * seconds)), hop)
    audio = level * sum(np.sin(2 * np.pi * h * cycles) / h**1.5 for h in range(1, 9))
    audio += 0.01 * level * rng.normal(size=len(audio))
    decibels = (20 * np.log10(level[::hop])).astype(np.float32)
    take = TakeFeatures(
        recording_id="r", take_id="t", instrument="i", audio=audio.astype(np.float32), f0_hz=f0_hz.astype(np.float32),
        f0_confidence=np.ones(frames, np.float32), loudness_db=decibels, rms_energy_db=decibels,
    )  # fmt: skip
    clip = ClipShape(clips=shape["clips"], frames=round(shape["secs"] * rate), hop=hop, sample_rate_hz=SAMPLE_RATE_HZ)
    return ClipPool([take], shape=clip, warmup_frames=0)


def _ours(shape: dict[str, Any], models: int) -> tuple[Callable[..., float], Any]:
    pool = _pool(shape)
    group = _group(shape, models, pool)
    return lambda batch, step: float(group.train_step(batch, step=step)[0]), pool


def _group(shape: dict[str, Any], models: int, pool: Any) -> Any:
    from tinytimbre.config import TrainingConfig
    from tinytimbre.decoders import DecoderSpec, InputRange
    from tinytimbre.training.group import ModelGroup

    # By spectra alone, as ddsp's loss here.
    return ModelGroup(
        [DecoderSpec(**shape["decoder"], **COMMON)] * models,
        seeds=range(models), input_ranges=[InputRange()] * models, learning_rates=[1e-3] * models, total_steps=1000,
        shape=pool.shape, config=TrainingConfig(loudness_weight=0.0),
    )  # fmt: skip


def _ddsp(shape: dict[str, Any], models: int) -> tuple[Callable[..., float], Any]:
    """The peer trains one model; `models` is there for the common signature."""
    import tensorflow as tf

    from tinytimbre.ddsp_door import import_ddsp
    from tinytimbre.decoders import DecoderSpec, build_decoder
    from tinytimbre.training.optimiser import Adam

    assert models == 1
    ddsp, pool = import_ddsp(), _pool(shape)
    spec = DecoderSpec(**shape["decoder"], **COMMON)
    decoder = build_decoder(spec, seed=0)
    adam = Adam(decoder.weights, clip_norm=3.0)
    samples = pool.shape.samples
    harmonic = ddsp.synths.Harmonic(n_samples=samples, sample_rate=SAMPLE_RATE_HZ, scale_fn=None)
    noise = ddsp.synths.FilteredNoise(n_samples=samples, window_size=0, scale_fn=None)
    loss_of = ddsp.losses.SpectralLoss(logmag_weight=1.0)

    @tf.function
    def step(inputs: tf.Tensor, f0_hz: tf.Tensor, target: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            controls = decoder(inputs)
            parts = (controls[..., :1], controls[..., 1 : 1 + spec.harmonics], f0_hz[..., None])
            audio = harmonic(*parts) + noise(controls[..., 1 + spec.harmonics :])
            loss = loss_of(target, audio)
        gradients = tape.gradient(loss, list(decoder.weights.values()))
        adam.apply(gradients, learning_rate=tf.constant(1e-4), step=number)
        return loss

    def run(batch: Any, number: int) -> float:
        tensors = (tf.constant(values) for values in (batch.inputs["loudness"], batch.f0_hz, batch.audio))
        return float(step(*tensors, tf.constant(float(number))))

    return run, pool


def parity(name: str) -> float:
    """Relative difference of the two losses on the same weights, batch and noise."""
    import numpy as np
    import tensorflow as tf

    from tinytimbre.ddsp_door import import_ddsp

    ddsp, pool = import_ddsp(), _pool(SHAPES[name])
    group, batch = _group(SHAPES[name], 1, pool), pool.training_batch(seed=0, step=0)
    ours = group.validation_losses([batch])[0]
    samples, harmonics = pool.shape.samples, COMMON["harmonics"]
    controls = group.decoders[0](tf.constant(batch.inputs["loudness"]))
    # The phase modulo one turn: float32 sums of a phase that grows for seconds are what differs most otherwise.
    harmonic = ddsp.synths.Harmonic(
        n_samples=samples, sample_rate=SAMPLE_RATE_HZ, scale_fn=None, use_angular_cumsum=True
    )
    audio = harmonic(controls[..., :1], controls[..., 1 : 1 + harmonics], batch.f0_hz[..., None])
    # What FilteredNoise does with noise of its own.
    white = batch.white.reshape(len(batch.white), samples)
    audio += ddsp.core.frequency_filter(white, controls[..., 1 + harmonics :], window_size=0)
    theirs = ddsp.losses.SpectralLoss(logmag_weight=1.0)(tf.constant(batch.audio), audio)
    return float(np.abs(ours / theirs.numpy() - 1))


def _in_fresh_process(function: Callable[..., Any], *arguments: Any) -> Any:
    return _in_fresh_processes(1, function, *arguments)[0]


def _in_fresh_processes(count: int, function: Callable[..., Any], *arguments: Any) -> list[Any]:
    """The same in several at a time."""
    with multiprocessing.get_context("spawn").Pool(count) as pool:
        return pool.starmap(function, [arguments] * count, chunksize=1)


def main() -> None:
    """Measures every shape and prints table and JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shapes", nargs="+", default=list(SHAPES), choices=list(SHAPES))
    parser.add_argument("--side-by-side", type=int, default=8, help="models per process on the small shapes")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=10.0, help="of measuring per cell and round")
    parser.add_argument("--rounds", type=int, default=2)
    args = parser.parse_args()
    print(f"{'shape':12} {'side':14} {'step ms':>9} {'per model':>9} {'ratio':>7} {'of bound':>8} {'audio s/s':>9} "
          f"{'peak MB':>8}")  # fmt: skip
    result = {name: _shape(name, args) for name in args.shapes}
    for name in args.shapes:
        if name in SMALL:
            result[name]["all_cores"] = _all_cores(name, args)
    print(f"\n{'shape':12} {'stage':14} {'ms':>8} {'GFLOP':>8} {'GB':>8} {'nearest bound':>14} {'share':>6}")
    for name, row in result.items():
        _print_stages(name, row)
    print(json.dumps({"threads": args.threads, "ratio": {name: row["ratio"] for name, row in result.items()},
                      "shapes": result}))  # fmt: skip


def _shape(name: str, args: argparse.Namespace) -> dict[str, Any]:
    sides = [("ddsp", 1), ("ours", 1)]
    if name in SMALL and args.side_by_side > 1:
        sides.append(("ours", args.side_by_side))
    limits = _in_fresh_process(bounds, name, sides[-1][1], args.threads)
    rounds = [
        {side: _in_fresh_process(measure, *side[:1], name, side[1], args.threads, args.seconds) for side in sides}
        for _ in range(args.rounds)
    ]
    audio_secs = SHAPES[name]["clips"] * SHAPES[name]["secs"]
    row: dict[str, Any] = {"limits": limits}
    for side in sides:
        # The best of the rounds: company on the machine only ever adds time.
        best = min((one[side] for one in rounds), key=lambda cell: cell["step_ms"])
        per_model = best["step_ms"] / side[1]
        label = side[0] if side[1] == 1 else f"{side[0]} x{side[1]}"
        row[label] = {**best, "per_model_ms": per_model}
        ratio = row["ddsp"]["step_ms"] / per_model
        print(f"{name:12} {label:14} {best['step_ms']:9.1f} {per_model:9.1f} {ratio:7.1f} "
              f"{per_model / limits['decoder_bound_ms']:8.2f} {1e3 * audio_secs / per_model:9.0f} "
              f"{best['peak_mb']:8.0f}", flush=True)  # fmt: skip
    ours = [row[side[0] if side[1] == 1 else f"{side[0]} x{side[1]}"] for side in sides[1:]]
    row["ratio"] = max(row["ddsp"]["step_ms"] / cell["per_model_ms"] for cell in ours)
    row["loss_difference"] = _in_fresh_process(parity, name)
    print(f"{name:12} loss on the same weights and noise: relative difference {row['loss_difference']:.1e}", flush=True)
    return row


def _all_cores(name: str, args: argparse.Namespace) -> dict[str, float]:
    """Milliseconds per model where every core is used, by what uses them."""
    cores, models = len(os.sched_getaffinity(0)), args.side_by_side
    ways = {
        f"ddsp, {cores} threads": ("ddsp", 1, cores, 1),
        f"ours, {cores} threads": ("ours", 1, cores, 1),
        f"ours x{models}, {cores} threads": ("ours", models, cores, 1),
        f"ours x{models}, {cores} processes": ("ours", models, 1, cores),
    }
    found: dict[str, float] = {}
    print(f"\n{name:12} {'with all cores':24} {'per model':>9} {'ratio':>7}")
    for way, (side, count, threads, processes) in ways.items():
        cells = [
            cell
            for _ in range(args.rounds)
            for cell in _in_fresh_processes(processes, measure, side, name, count, threads, args.seconds)
        ]
        found[way] = statistics.median(cell["step_ms"] for cell in cells) / count / processes
        print(f"{name:12} {way:24} {found[way]:9.1f} {next(iter(found.values())) / found[way]:7.1f}", flush=True)
    return found


def _print_stages(name: str, row: dict[str, Any]) -> None:
    limits = row["limits"]
    for stage in limits["stages"]:
        print(f"{name:12} {stage['name']:14} {stage['milliseconds']:8.1f} {stage['gigaflop']:8.2f} "
              f"{stage['gigabytes']:8.3f} {stage['bound']:>14} {stage['share']:6.0%}")  # fmt: skip
    print(f"{name:12} {'machine':14} {'':8} {limits['gigaflops']:5.0f}/s {limits['gigabytes_per_s']:6.1f}/s")


if __name__ == "__main__":
    sys.exit(main())
