"""Calls `tinytimbre.export.bundle.export_bundle` for every finalist, after tuning where a quantisation asks for it."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tfx.dsl.components.base.base_executor import BaseExecutor

from components.channels import Artifacts, folder, only
from components.scope import configuration
from components.trial_results import load_survivors
from components.web_models import WebModel, save_models
from tinytimbre.audio.recording import RecordingSet
from tinytimbre.config import TUNED_BITS, Quantisation, SweepConfig
from tinytimbre.export.bundle import export_bundle
from tinytimbre.export.settings import BundleSettings, DataLicence, make_settings
from tinytimbre.export.size import measure_bundle
from tinytimbre.features.artifact import load_index, load_statistics
from tinytimbre.progress import track
from tinytimbre.sweep import SweepPlan, Trial, TrialStore
from tinytimbre.sweep.tuning import tune_trials, tuned_decoder

if TYPE_CHECKING:
    from tinytimbre.decoders import Decoder


class Executor(BaseExecutor):
    """Finalists → `WebModels`."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: Mapping[str, Any]) -> None:  # noqa: N802
        """Exports all finalists and lists the bundles."""
        config = configuration(exec_properties)
        plan, output = SweepPlan.load(folder(input_dict, "plan")), folder(output_dict, "models")
        finalists = [plan.trial(trial_id) for trial_id in load_survivors(folder(input_dict, "finalists"))]
        store = TrialStore(exec_properties["store"])
        for quantisation in _tuned(config):
            features = str(folder(input_dict, "features"))
            tune_trials(finalists, quantisation=quantisation, features_dir=features, store=store, config=config)
        models = []
        for trial in track(finalists, label="export", unit="models"):
            for decoder, quantisations in _decoders(trial, store=store, config=config):
                settings = _settings(trial, decoder=decoder, config=config, input_dict=input_dict)
                models += _export(decoder, settings=settings, quantisations=quantisations, output=output)
        save_models(models, output)
        only(output_dict, "models").set_int_custom_property("n_models", len(models))


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
    trial: Trial, *, store: TrialStore, config: SweepConfig
) -> Iterator[tuple[Decoder, Sequence[Quantisation]]]:
    """The trained decoder with its plain quantisations, then each tuned one; a room is tuned along."""
    plain = [quantisation for quantisation in config.export.quantisations if quantisation not in TUNED_BITS]
    if plain:
        yield store.load_decoder(trial.trial_id), plain
    for quantisation in _tuned(config):
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
            candidate_id=f"{trial_id}-{bundle.quantisation}",
            trial_id=trial_id,
            instrument=settings.instrument,
            quantisation=bundle.quantisation,
            path=f"{trial_id}/{bundle.quantisation}",
            size=measure_bundle(bundle.path),
        )
        for bundle in bundles
    ]


def _tuned(config: SweepConfig) -> list[Quantisation]:
    return [quantisation for quantisation in config.export.quantisations if quantisation in TUNED_BITS]
