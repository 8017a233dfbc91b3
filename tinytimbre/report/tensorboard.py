"""Event files for TensorBoard, one run per trial: scalars, hyperparameters with their outcome, and sounds.

    <folder>/events.out.tfevents.experiment                       which hyperparameters and metrics there are
    <folder>/<instrument>/<trial_id>/events.out.tfevents.<step>.rung<k>      written once, when the rung has ended
    <folder>/<instrument>/<trial_id>/events.out.tfevents.<step>.zevaluation  replaced by every evaluation
    <folder>/<instrument>/original/events.out.tfevents.sounds                the recordings the models imitate

Everything is taken from the trial store and from the tables of the evaluation, after the fact: training is not slowed
down, and a sweep that was interrupted leaves no event twice.
"""

from __future__ import annotations

import io
import pathlib
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import soundfile
import tensorflow as tf
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.audio import metadata as audio_metadata
from tensorboard.plugins.hparams import api as hparams_api
from tensorboard.plugins.hparams import summary_v2 as hparams_summary
from tensorboard.plugins.scalar import summary_v2 as scalar_summary
from tensorboard.util import tensor_util

from tinytimbre.config import SEARCH_KEYS
from tinytimbre.durable import replacing
from tinytimbre.report.embed import SAMPLE_RATE_HZ, read_clip
from tinytimbre.report.tables import METRIC_COLUMNS
from tinytimbre.sweep.plan import SweepPlan, Trial
from tinytimbre.sweep.store import RungResult, TrialStore
from tinytimbre.training.optimiser import learning_rate_at

PREFIX = "events.out.tfevents"
MAX_SOUNDS = 2
MAX_SOUND_SECS = 6.0
"""Together 0.4 MB a trial."""

HPARAMS = (*SEARCH_KEYS, "distilled")
FACTS = ("parameters", "decoder_mflops", "stratum")
Summaries = list[tuple[int, Summary]]


def write_rung(plan: SweepPlan, *, trial_ids: Iterable[str], rung: int, store: TrialStore, folder: pathlib.Path) -> int:
    """Writes what the trials did in a rung; those that are there already, or will be tried again, are left alone.

    Returns:
        Number of event files written.
    """
    wanted, written = list(trial_ids), 0
    results, curves = store.rung_results(wanted, rung), store.curves(wanted)
    for trial in (plan.trial(trial_id) for trial_id in wanted):
        result = results.get(trial.trial_id)
        if result is None or (result.status == "failed" and not result.repeatable):
            continue
        path = run_folder(trial, folder) / f"{PREFIX}.{result.step:010d}.rung{rung}"
        if not path.is_file():
            _write(path, _rung_summaries(trial, result, plan=plan, curve=curves.get(trial.trial_id, [])))
            written += 1
    return written


def write_evaluation(
    plan: SweepPlan,
    *,
    candidates: pd.DataFrame,
    sounds: Mapping[str, Sequence[pathlib.Path]],
    folder: pathlib.Path,
) -> None:
    """Writes the measures of the exported models, and what to listen to.

    Args:
        plan: of the sweep.
        candidates: table of `tinytimbre.report.tables`.
        sounds: candidate id, or instrument for the recordings themselves → sound files of the same names.
        folder: of all runs.
    """
    quantisations = sorted(set(candidates["quantisation"]))
    _write(folder / f"{PREFIX}.experiment", [(0, _experiment(quantisations))])
    for trial_id, own in candidates.groupby("trial_id"):
        trial = plan.trial(str(trial_id))
        _, step = plan.stretch(trial, rung=len(plan.rungs) - 1)
        rows = own.to_dict("records")
        summaries = [(step, summary) for row in rows for summary in _measures(row)]
        heard = next((sounds[str(row["candidate_id"])] for row in rows if sounds.get(str(row["candidate_id"]))), ())
        summaries += [(step, _sound(path)) for path in heard[:MAX_SOUNDS]]
        _write(run_folder(trial, folder) / f"{PREFIX}.{step:010d}.zevaluation", summaries)
    for instrument in plan.instruments:
        originals = [(plan.rungs[-1], _sound(path)) for path in sounds.get(instrument, ())[:MAX_SOUNDS]]
        if originals:
            _write(folder / instrument / "original" / f"{PREFIX}.sounds", originals)


def run_folder(trial: Trial, folder: pathlib.Path) -> pathlib.Path:
    """Where a trial's events are; its name in TensorBoard is the path below `folder`."""
    return folder / trial.instrument / trial.trial_id


def _rung_summaries(
    trial: Trial, result: RungResult, *, plan: SweepPlan, curve: Sequence[Mapping[str, float]]
) -> Summaries:
    first, _ = plan.stretch(trial, rung=result.rung)
    _, total_steps = plan.stretch(trial, rung=len(plan.rungs) - 1)
    summaries: Summaries = []
    if first == 0:
        summaries.append((0, hparams_summary.hparams_pb(_hparams(trial), trial_id=trial.trial_id)))
    for row in curve:
        step = int(row["step"])
        if first < step <= result.step:
            rate = learning_rate_at(step, peak=trial.learning_rate, total_steps=total_steps)
            values = {**{key: value for key, value in row.items() if key != "step"}, "learning_rate": rate}
            summaries += [(step, scalar_summary.scalar_pb(name, np.float32(value))) for name, value in values.items()]
    return summaries


def _hparams(trial: Trial) -> dict[str, Any]:
    spec = trial.decoder
    named = {"decoder": spec.kind, "reverb_bands": spec.reverb_bands, "distilled": trial.distillation is not None}
    values = {**spec.model_dump(), **trial.model_dump(), **named}
    return {name: values[name] for name in ("instrument", *HPARAMS, *FACTS)}


def _experiment(quantisations: Sequence[str]) -> Summary:
    measures = (*METRIC_COLUMNS, "size_brotli")
    tags = ["validation_loss", *(f"{name}/{kind}" for kind in quantisations for name in measures)]
    return hparams_summary.hparams_config_pb(
        hparams=[hparams_api.HParam(name) for name in ("instrument", *HPARAMS, *FACTS)],
        metrics=[hparams_api.Metric(tag) for tag in tags],
    )


def _measures(row: Mapping[Any, Any]) -> list[Summary]:
    """Of one exported model, tagged with its quantisation; what could not be measured is left out."""
    values = {name: row[name] for name in METRIC_COLUMNS} | {"size_brotli": row["total_brotli"]}
    known = {name: float(value) for name, value in values.items() if pd.notna(value)}
    return [scalar_summary.scalar_pb(f"{name}/{row['quantisation']}", np.float32(v)) for name, v in known.items()]


def _sound(path: pathlib.Path) -> Summary:
    """The beginning of a sound file as the audio dashboard wants it: pairs of WAV and label."""
    buffer = io.BytesIO()
    audio = np.clip(read_clip(path, max_secs=MAX_SOUND_SECS), -1, 1)
    soundfile.write(buffer, audio, SAMPLE_RATE_HZ, format="WAV", subtype="PCM_16")
    metadata = audio_metadata.create_summary_metadata(
        display_name=None, description="", encoding=audio_metadata.Encoding.Value("WAV")
    )
    summary = Summary()
    content = tensor_util.make_tensor_proto(np.array([[buffer.getvalue(), b""]], dtype=object))
    summary.value.add(tag=path.stem, tensor=content, metadata=metadata)
    return summary


def _write(path: pathlib.Path, summaries: Summaries) -> None:
    """One event file, whole."""
    now = time.time()
    with replacing(path) as partial, tf.io.TFRecordWriter(str(partial)) as writer:
        writer.write(Event(wall_time=now, file_version="brain.Event:2").SerializeToString())
        for step, summary in summaries:
            writer.write(Event(wall_time=now, step=step, summary=summary).SerializeToString())
