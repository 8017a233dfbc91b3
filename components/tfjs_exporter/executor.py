"""Calls `tinytimbre.export.bundle.export_bundle` for every finalist, after tuning where a quantisation asks for it."""

from __future__ import annotations

import collections
import logging
import math
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tfx.dsl.components.base.base_executor import BaseExecutor

from components.channels import Artifacts, folder, only
from components.resources import jobs
from components.scope import configuration
from components.trial_results import load_survivors
from components.web_models import FailedModel, WebModel, candidate_id, save_failures, save_models
from tinytimbre.audio.recording import RecordingSet
from tinytimbre.config import TUNED_BITS, Quantisation, SweepConfig
from tinytimbre.errors import TinyTimbreError
from tinytimbre.export.bundle import export_bundle
from tinytimbre.export.settings import BundleSettings, DataLicence, make_settings
from tinytimbre.export.size import measure_bundle
from tinytimbre.features.artifact import load_index, load_statistics
from tinytimbre.progress import track
from tinytimbre.sweep import SweepPlan, Trial, TrialStore
from tinytimbre.sweep.tuning import tune_trials, tuned_decoder

if TYPE_CHECKING:
    from tinytimbre.decoders import Decoder

LOGGER = logging.getLogger("tinytimbre.export")


class Executor(BaseExecutor):
    """Finalists → `WebModels`."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: Mapping[str, Any]) -> None:  # noqa: N802
        """Exports all finalists and lists the bundles."""
        config = configuration(exec_properties)
        plan, output = SweepPlan.load(folder(input_dict, "plan")), folder(output_dict, "models")
        finalists = [plan.trial(trial_id) for trial_id in load_survivors(folder(input_dict, "finalists"))]
        store = TrialStore(exec_properties["store"])
        wanted = wanted_quantisations(finalists, store=store, config=config)
        failures = _tune(wanted, plan, features_dir=str(folder(input_dict, "features")), store=store, config=config)
        lost = {failure.candidate_id for failure in failures}
        models: list[WebModel] = []
        for trial in track(finalists, label="export", unit="models"):
            asked = [one for one in wanted[trial.trial_id] if candidate_id(trial.trial_id, one) not in lost]
            for decoder, quantisations in _decoders(trial, asked, store=store, config=config):
                settings = _settings(trial, decoder=decoder, config=config, input_dict=input_dict)
                models += _export(decoder, settings=settings, quantisations=quantisations, output=output)
        _require_model(models, failures)
        save_models(models, output)
        save_failures(failures, output)
        only(output_dict, "models").set_int_custom_property("n_models", len(models))
        only(output_dict, "models").set_int_custom_property("n_failed", len(failures))


def wanted_quantisations(
    finalists: Sequence[Trial], *, store: TrialStore, config: SweepConfig
) -> dict[str, tuple[Quantisation, ...]]:
    """By trial id what to export.

    Of the seeds of one configuration the one with the lowest validation loss is exported in every quantisation, the
    others in the first, in which they tell how far two trainings differ.
    """
    last_rung = len(config.budget.rung_steps) - 1
    results = store.rung_results([trial.trial_id for trial in finalists], last_rung)
    losses = {name: found.validation_loss for name, found in results.items() if found.validation_loss is not None}
    families: dict[tuple[str, str], list[str]] = collections.defaultdict(list)
    for trial in finalists:
        families[trial.instrument, trial.family].append(trial.trial_id)
    best = {min(own, key=lambda trial_id: (losses.get(trial_id, math.inf), trial_id)) for own in families.values()}
    every = config.export.quantisations
    return {trial.trial_id: every if trial.trial_id in best else every[:1] for trial in finalists}


def _tune(
    wanted: Mapping[str, Sequence[Quantisation]],
    plan: SweepPlan,
    *,
    features_dir: str,
    store: TrialStore,
    config: SweepConfig,
) -> list[FailedModel]:
    """Fine-tunes whatever is wanted in a quantisation that asks for it; gives what failed, which is left out."""
    failures = []
    for quantisation in (one for one in config.export.quantisations if one in TUNED_BITS):
        trials = [plan.trial(trial_id) for trial_id, asked in wanted.items() if quantisation in asked]
        results = tune_trials(
            trials, quantisation=quantisation, features_dir=features_dir, store=store, config=config, jobs=jobs()
        )
        for trial, result in zip(trials, results, strict=True):
            if result.status == "failed":
                name = candidate_id(trial.trial_id, quantisation)
                LOGGER.warning("%s is left out: its fine-tuning failed: %s", name, result.reason)
                failures.append(
                    FailedModel(
                        candidate_id=name,
                        trial_id=trial.trial_id,
                        instrument=trial.instrument,
                        quantisation=quantisation,
                        reason=f"fine-tuning failed: {result.reason}",
                    )
                )
    return failures


def _require_model(models: Sequence[WebModel], failures: Sequence[FailedModel]) -> None:
    if not models:
        raise TinyTimbreError(
            "at least one finalist must be exported",
            got=f"none of {len(failures)}",
            cause="; ".join(sorted({failure.reason for failure in failures})[:3]),
            remedy="remove the cause, or add a quantisation to export.quantisations that needs no fine-tuning",
        )


def _settings(trial: Trial, *, decoder: Decoder, config: SweepConfig, input_dict: Artifacts) -> BundleSettings:
    features = folder(input_dict, "features")
    recordings = RecordingSet.load(folder(input_dict, "recordings")).accepted(trial.instrument)
    licences = {(r.source, r.licence, r.attribution) for r in recordings}
    return make_settings(
        config=config,
        decoder=trial.decoder,
        instrument=trial.instrument,
        trial_id=trial.trial_id,
        statistics=load_statistics(features)[trial.instrument],
        features_fingerprint=load_index(features).fingerprints[trial.instrument],
        data=tuple(DataLicence(source=s, licence=c, attribution=a) for s, c, a in sorted(licences)),
        reverb=decoder.reverb,
    )


def _decoders(
    trial: Trial, asked: Sequence[Quantisation], *, store: TrialStore, config: SweepConfig
) -> Iterator[tuple[Decoder, Sequence[Quantisation]]]:
    """The trained decoder with its plain quantisations, then each tuned one; a room is tuned along."""
    plain = [quantisation for quantisation in asked if quantisation not in TUNED_BITS]
    if plain:
        yield store.load_decoder(trial.trial_id), plain
    for quantisation in (one for one in asked if one in TUNED_BITS):
        yield tuned_decoder(trial.trial_id, quantisation=quantisation, store=store, config=config), [quantisation]


def _export(
    decoder: Decoder,
    *,
    settings: BundleSettings,
    quantisations: Sequence[Quantisation],
    output: pathlib.Path,
) -> list[WebModel]:
    trial_id = settings.trial_id
    bundles = export_bundle(decoder, settings=settings, quantisations=quantisations, output=output / trial_id)
    return [
        WebModel(
            candidate_id=candidate_id(trial_id, bundle.quantisation),
            trial_id=trial_id,
            instrument=settings.instrument,
            quantisation=bundle.quantisation,
            path=f"{trial_id}/{bundle.quantisation}",
            size=measure_bundle(bundle.path),
        )
        for bundle in bundles
    ]
