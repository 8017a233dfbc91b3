"""Evaluates every exported model and writes the tables and what there is to listen to."""

from __future__ import annotations

import itertools
import pathlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import soundfile
from tfx.dsl.components.base.base_executor import BaseExecutor

from components.channels import Artifacts, folder, only
from components.quality_evaluator.evaluation import (
    Evaluation,
    HeldOut,
    Pool,
    ahead,
    evaluate_trial,
    evaluation_pool,
)
from components.quality_evaluator.held_out import held_out, measure_baseline, sanity_probes
from components.quality_evaluator.store import EvaluationStore, baseline_key, evaluation_key
from components.quality_evaluator.tables import sweep_tables
from components.quality_evaluator.validations import validations
from components.resources import jobs
from components.sweep_report import RENDERINGS, original_path, rendering_path, sound_files
from components.web_models import WebModel, load_failures, load_models
from tinytimbre.config import SweepConfig, config_from_json
from tinytimbre.features.artifact import load_index
from tinytimbre.progress import track
from tinytimbre.report.tensorboard import write_evaluation
from tinytimbre.sweep import SweepPlan, TrialStore

VALIDATIONS = "validations"
"""Folder of the cache where what browsers found is kept."""


class Executor(BaseExecutor):
    """`WebModels` → `SweepReport`."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: Mapping[str, Any]) -> None:  # noqa: N802
        """Measures all models, those of one trial together, and writes the tables."""
        config, output = config_from_json(exec_properties["config"]), folder(output_dict, "report")
        features, bundles = folder(input_dict, "features"), folder(input_dict, "models")
        store = EvaluationStore(exec_properties["cache"], sample_rate_hz=config.audio.sample_rate_hz)
        models = load_models(bundles)
        keys = _keys(models, bundles=bundles, features=features, code_version=exec_properties["code_version"])
        takes = {name: held_out(features, instrument=name, config=config) for name in _instruments(models)}
        _evaluate(models, keys=keys, takes=takes, features=features, bundles=bundles, store=store, config=config)
        evaluations = {model.candidate_id: _evaluated(store, keys[model.candidate_id]) for model in models}
        plan, trials = SweepPlan.load(folder(input_dict, "plan")), TrialStore(exec_properties["store"])
        version = exec_properties["code_version"]
        baselines = _baselines(takes, features=features, code_version=version, store=store, config=config)
        failures = load_failures(bundles)
        validated = validations(
            [model for model in models if not evaluations[model.candidate_id].reason],
            bundles=bundles,
            cache=pathlib.Path(exec_properties["cache"]) / VALIDATIONS,
            code_version=exec_properties["validation_version"],
        )
        tables = sweep_tables(
            plan,
            store=trials,
            models=models,
            failures=failures,
            evaluations=evaluations,
            baselines=baselines,
            validated=validated,
        )
        tables.save(output)
        _save_sounds(models, keys=keys, takes=takes, store=store, output=output)
        boards = pathlib.Path(exec_properties["boards"])
        write_evaluation(plan, candidates=tables.candidates, sounds=sound_files(output), folder=boards)
        only(output_dict, "report").set_int_custom_property("n_candidates", len(models))


def _instruments(models: Sequence[WebModel]) -> list[str]:
    return sorted({model.instrument for model in models})


def _keys(
    models: Sequence[WebModel], *, bundles: pathlib.Path, features: pathlib.Path, code_version: str
) -> dict[str, str]:
    fingerprints = load_index(features).fingerprints
    return {
        model.candidate_id: evaluation_key(
            bundles / model.path, fingerprint=fingerprints[model.instrument], code_version=code_version
        )
        for model in models
    }


def _evaluated(store: EvaluationStore, key: str) -> Evaluation:
    evaluation = store.read(key)
    assert evaluation is not None, key
    return evaluation


def _evaluate(
    models: Sequence[WebModel],
    *,
    keys: Mapping[str, str],
    takes: Mapping[str, Sequence[HeldOut]],
    features: pathlib.Path,
    bundles: pathlib.Path,
    store: EvaluationStore,
    config: SweepConfig,
) -> None:
    """Puts every evaluation that is not there yet into the store."""
    missing = [
        list(group) for group in _by_trial(model for model in models if not store.read(keys[model.candidate_id]))
    ]
    names = {group[0].instrument for group in missing}
    probes = {name: sanity_probes(features, takes=takes[name], instrument=name, config=config) for name in names}

    def found(group: list[WebModel], pool: Pool) -> list[Evaluation]:
        name, paths = group[0].instrument, [bundles / model.path for model in group]
        return evaluate_trial(paths, takes=takes[name], probes=probes[name], pool=pool, config=config)

    with evaluation_pool(jobs()) as pool, ahead(missing, lambda group: found(group, pool)) as evaluations:
        for group, own in zip(track(missing, label="quality", unit="models"), evaluations, strict=True):
            for model, evaluation in zip(group, own, strict=True):
                store.write(keys[model.candidate_id], evaluation)


def _baselines(
    takes: Mapping[str, Sequence[HeldOut]],
    *,
    features: pathlib.Path,
    code_version: str,
    store: EvaluationStore,
    config: SweepConfig,
) -> dict[str, Evaluation]:
    """By instrument; kept like evaluations of models."""
    found = {}
    for name, fingerprint in load_index(features).fingerprints.items():
        key = baseline_key(fingerprint=fingerprint, code_version=code_version)
        if name in takes and store.read(key) is None:
            store.write(key, measure_baseline(features, takes=takes[name], instrument=name, config=config))
        found[name] = store.read(key) or Evaluation([], 0.0)
    return found


def _by_trial(models: Iterator[WebModel]) -> Iterator[list[WebModel]]:
    return (list(group) for _, group in itertools.groupby(models, key=lambda model: model.trial_id))


def _save_sounds(
    models: Sequence[WebModel],
    *,
    keys: Mapping[str, str],
    takes: Mapping[str, Sequence[HeldOut]],
    store: EvaluationStore,
    output: pathlib.Path,
) -> None:
    """Originals and renderings of the takes to listen to."""
    for instrument, own in takes.items():
        for take in own:
            if take.listen:
                path = original_path(output, instrument=instrument, recording_id=take.features.recording_id)
                path.parent.mkdir(parents=True, exist_ok=True)
                soundfile.write(path, take.features.audio, store.sample_rate_hz, subtype="PCM_16")
    for model in models:
        for recording_id, source in store.renderings(keys[model.candidate_id]).items():
            target = rendering_path(output, candidate_id=model.candidate_id, recording_id=recording_id)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    (output / RENDERINGS).mkdir(exist_ok=True)
