"""Evaluates exported models: TF.js gives the controls, processes synthesise and measure.

with evaluation_pool(jobs) as pool:
    evaluations = evaluate_trial(bundles, takes=takes, probes=probes, pool=pool, config=config)
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import multiprocessing
import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

import numpy as np

from tinytimbre.child import live_with_parent
from tinytimbre.config import SweepConfig
from tinytimbre.errors import TinyTimbreError
from tinytimbre.export.node import BundleRun, max_abs_error, run_bundles
from tinytimbre.export.settings import BundleSettings, read_settings
from tinytimbre.export.sound import bundle_sound
from tinytimbre.features.examples import TakeFeatures
from tinytimbre.features.scaling import scale_inputs
from tinytimbre.quality.evaluate import evaluate_take
from tinytimbre.quality.sanity import Probe, measure_sanity

Pool = concurrent.futures.Executor

TFJS_TOLERANCE = 1e-3
"""Largest difference between TF.js and TensorFlow that counts as rounding; controls lie in [0, 2]."""

COMPARED_FRAMES = 500
AT_A_TIME = 2
T = TypeVar("T")
R = TypeVar("R")


@dataclasses.dataclass(frozen=True, eq=False)
class HeldOut:
    """A take that no model was trained on; ``listen`` says whether its renderings are kept."""

    split: str
    features: TakeFeatures
    listen: bool


@dataclasses.dataclass(frozen=True, eq=False)
class Evaluation:
    """One model on all held-out takes.

    Attributes:
        clips: a dictionary per take: split, recording_id, take_id and the metrics.
        tfjs_max_abs_error: largest difference between TF.js and TensorFlow.
        reason: why there is no result; empty where there is one.
        sanity: measures of `tinytimbre.quality.sanity` by name.
        renderings: float32 audio of takes to listen to, by recording id.
    """

    clips: list[dict[str, str | float]]
    tfjs_max_abs_error: float
    reason: str = ""
    sanity: Mapping[str, float] = dataclasses.field(default_factory=dict)
    renderings: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)


@contextlib.contextmanager
def evaluation_pool(jobs: int) -> Iterator[Pool]:
    """Processes that measure; forked from a clean server, since this process has run TensorFlow."""
    context = multiprocessing.get_context("forkserver")
    pool = concurrent.futures.ProcessPoolExecutor(jobs, mp_context=context, initializer=live_with_parent)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


@contextlib.contextmanager
def ahead(items: Iterable[T], work: Callable[[T], R]) -> Iterator[Iterator[R]]:
    """Results in the order of the items, made by two threads: TF.js runs one trial while the last one is measured."""
    threads = concurrent.futures.ThreadPoolExecutor(AT_A_TIME)
    try:
        yield threads.map(work, items)
    finally:
        threads.shutdown(cancel_futures=True)


def evaluate_trial(
    bundles: Sequence[pathlib.Path],
    *,
    takes: Sequence[HeldOut],
    probes: Sequence[Probe],
    pool: Pool,
    config: SweepConfig,
) -> list[Evaluation]:
    """Evaluates the bundles of one trial; a bundle that cannot be measured carries the reason."""
    settings = [read_settings(bundle) for bundle in bundles]
    runs = [
        BundleRun(bundle, inputs)
        for bundle, own in zip(bundles, settings, strict=True)
        for inputs in (
            *(decoder_inputs(take.features, kind=own.input) for take in takes),
            *(probe.inputs(own.input) for probe in probes),
        )
    ]
    controls = run_bundles(runs)
    size, tracker = len(takes) + len(probes), config.features.f0_tracker
    pending = []
    for own, start in zip(settings, range(0, len(runs), size), strict=True):
        made = controls[start : start + size]
        tasks = [
            pool.submit(render_and_measure, take, controls=one, settings=own, tracker=tracker)
            for take, one in zip(takes, made[: len(takes)], strict=True)
        ]
        sanity = pool.submit(render_and_probe, probes, controls=made[len(takes) :], settings=own, tracker=tracker)
        pending.append((tasks, sanity))
    return [
        _collect(*waiting, takes, _tfjs_error(bundle, runs[index * size], controls[index * size]))
        for index, (bundle, waiting) in enumerate(zip(bundles, pending, strict=True))
    ]


def decoder_inputs(take: TakeFeatures, *, kind: str) -> np.ndarray:
    """Float32 [T, 2]: scaled pitch and the level the decoder was trained with."""
    return scale_inputs(take.f0_hz, take.loudness_db if kind == "loudness" else take.rms_energy_db)


def render_and_measure(
    take: HeldOut, *, controls: np.ndarray, settings: BundleSettings, tracker: str
) -> tuple[dict[str, str | float], np.ndarray | None]:
    """One row of the clip table, and the audio where it is to be kept."""
    audio = bundle_sound(controls, take.features.f0_hz, settings=settings)
    row = clip_row(
        take,
        audio,
        sample_rate_hz=settings.sample_rate_hz,
        frame_rate_hz=settings.frame_rate_hz,
        tracker=tracker,
    )
    return row, audio if take.listen else None


def clip_row(
    take: HeldOut, audio: np.ndarray, *, sample_rate_hz: int, frame_rate_hz: float, tracker: str
) -> dict[str, str | float]:
    """One row of the clip table for a rendering, whoever made it."""
    metrics = evaluate_take(
        take.features, audio, sample_rate_hz=sample_rate_hz, frame_rate_hz=frame_rate_hz, tracker=tracker
    )
    row = {"split": take.split, "recording_id": take.features.recording_id, "take_id": take.features.take_id}
    return {**row, **metrics}


def render_and_probe(
    probes: Sequence[Probe], *, controls: Sequence[np.ndarray], settings: BundleSettings, tracker: str
) -> dict[str, float]:
    """The sanity measures of one model; empty without probes."""
    return measure_sanity(
        probes,
        [bundle_sound(made, probe.f0_hz, settings=settings) for probe, made in zip(probes, controls, strict=True)],
        sample_rate_hz=settings.sample_rate_hz,
        frame_rate_hz=settings.frame_rate_hz,
        tracker=tracker,
    )


def _tfjs_error(bundle: pathlib.Path, run: BundleRun, controls: np.ndarray) -> float:
    """The model is causal, so a beginning can be compared with a beginning."""
    return max_abs_error(bundle, inputs=run.inputs[:COMPARED_FRAMES], controls=controls[:COMPARED_FRAMES])


def _collect(
    tasks: Sequence[concurrent.futures.Future[tuple[dict[str, str | float], np.ndarray | None]]],
    sanity: concurrent.futures.Future[dict[str, float]],
    takes: Sequence[HeldOut],
    tfjs_error: float,
) -> Evaluation:
    if not tfjs_error <= TFJS_TOLERANCE:
        reason = f"TensorFlow.js and TensorFlow differ by {tfjs_error:.2g}, more than {TFJS_TOLERANCE:g}"
        return Evaluation([], tfjs_error, reason)
    try:
        results, measures = [task.result() for task in tasks], sanity.result()
    except TinyTimbreError as error:
        return Evaluation([], tfjs_error, str(error))
    audio = {
        take.features.recording_id: made for take, (_, made) in zip(takes, results, strict=True) if made is not None
    }
    return Evaluation([row for row, _ in results], tfjs_error, sanity=measures, renderings=audio)
