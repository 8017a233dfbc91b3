"""What hearing loudness in training is worth: the same models with and without it, on takes they never heard.

    python -m benchmarks.loudness workspaces/tenor_sax --instrument tenor_sax

Takes the smallest configurations of a finished search and trains each with two seeds for every weight of the loudness
loss, side by side on the same batches. Prints every measure on the validation takes, which is where a default may be
chosen, and the time of a step; nothing is written.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from benchmarks.finals import finalists, searched
from benchmarks.findings.sweeps import Sweep, read_sweeps
from benchmarks.options import exit_code, positive_int
from benchmarks.rendering import newest_features, rendered
from tinytimbre.config import SweepConfig
from tinytimbre.decoders import Decoder, DecoderSpec, InputRange
from tinytimbre.features.examples import TakeFeatures, read_features
from tinytimbre.progress import track
from tinytimbre.quality.evaluate import evaluate_take
from tinytimbre.sweep.trainer import clip_shape
from tinytimbre.training.clips import ClipPool
from tinytimbre.training.group import ModelGroup

SHOWN = ("log_spectral_db", "mel_spectral_db", "loudness_db", "f0_accuracy_points")
SEEDS = (0, 1)


def main(argv: Sequence[str] | None = None) -> int:
    """Prints a table; gives the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workspace", type=pathlib.Path, help="in which a search has run to its end")
    parser.add_argument("--instrument", required=True)
    parser.add_argument("--weight", type=float, nargs="+", default=[0.0, 1.0, 2.0, 4.0])
    parser.add_argument("--models", type=positive_int, default=4, help="configurations, the smallest (default: 4)")
    parser.add_argument("--steps", type=positive_int, default=1000)
    args = parser.parse_args(argv)
    return exit_code(lambda: _report(args))


def _report(args: argparse.Namespace) -> int:
    sweep = searched(read_sweeps([args.workspace]))
    chosen = _smallest(sweep, instrument=args.instrument, count=args.models)
    features = newest_features(args.workspace)
    takes = {
        split: read_features(features, split=split, instrument=args.instrument) for split in ("train", "validation")
    }
    print(f"{len(SEEDS)} seeds, {args.steps} steps; mean over {len(takes['validation'])} validation takes")
    print(f"| parameters | weight | {' | '.join(SHOWN)} | step, ms |\n|---|---|{'---|' * len(SHOWN)}---|")
    for weight in args.weight:
        training = sweep.config.training.model_copy(update={"loudness_weight": weight})
        config = sweep.config.model_copy(update={"training": training})
        for row in _measured(chosen, takes=takes, steps=args.steps, config=config):
            print(row, flush=True)
    return 0


def _smallest(sweep: Sweep, *, instrument: str, count: int) -> list[tuple[DecoderSpec, float]]:
    """Specification and learning rate."""

    def specified(values: dict[str, Any]) -> tuple[DecoderSpec, float]:
        rate = values.pop("learning_rate")
        return DecoderSpec(kind=values.pop("decoder"), **values), rate

    found = [specified(values) for values in finalists(sweep, instruments=[instrument], most=None)]
    return sorted(found, key=lambda one: one[0].parameters)[:count]


def _measured(
    chosen: Sequence[tuple[DecoderSpec, float]],
    *,
    takes: dict[str, list[TakeFeatures]],
    steps: int,
    config: SweepConfig,
) -> Iterator[str]:
    """A row per configuration."""
    decoders, step_ms = _trained(chosen, takes=takes["train"], steps=steps, config=config)
    weight = config.training.loudness_weight
    for index, (spec, _) in enumerate(chosen):
        own = decoders[index * len(SEEDS) : (index + 1) * len(SEEDS)]
        values = np.nanmean(
            [_measures(one, take, config=config) for one in own for take in takes["validation"]], axis=0
        )
        shown = " | ".join(f"{value:.2f}" for value in values)
        yield f"| {spec.parameters:,} | {weight:g} | {shown} | {step_ms:.0f} |"


def _trained(
    chosen: Sequence[tuple[DecoderSpec, float]], *, takes: list[TakeFeatures], steps: int, config: SweepConfig
) -> tuple[list[Decoder], float]:
    """A decoder per configuration and seed with its averaged weights, and the median time of a step of all."""
    warmup = round(config.training.warmup_secs * config.features.frame_rate_hz)
    pool = ClipPool(takes, shape=clip_shape(config), warmup_frames=warmup)
    every = [(spec, rate, seed) for spec, rate in chosen for seed in SEEDS]
    group = ModelGroup(
        [spec for spec, _, _ in every],
        seeds=[seed for _, _, seed in every],
        input_ranges=[InputRange.of(pool.inputs(spec.input)) for spec, _, _ in every],
        learning_rates=[rate for _, rate, _ in every],
        total_steps=steps,
        shape=pool.shape,
        config=config.training,
    )
    seconds = []
    for step in track(range(steps), label=f"weight {config.training.loudness_weight:g}", unit="steps"):
        started = time.monotonic()
        group.train_step(pool.training_batch(seed=config.seed, step=step), step=step)
        seconds.append(time.monotonic() - started)
    for decoder, optimiser in zip(group.decoders, group.optimisers, strict=True):
        decoder.set_weights(optimiser.averaged_weights())
    return group.decoders, 1000 * float(np.median(seconds))


def _measures(decoder: Decoder, take: TakeFeatures, *, config: SweepConfig) -> list[float]:
    found = evaluate_take(
        take,
        rendered(decoder, take, config=config),
        sample_rate_hz=config.audio.sample_rate_hz,
        frame_rate_hz=config.features.frame_rate_hz,
        tracker=config.features.f0_tracker,
    )
    return [found[name] for name in SHOWN]


if __name__ == "__main__":
    sys.exit(main())
