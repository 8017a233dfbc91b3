"""What few bits cost in quality and save in bytes, with and without fine-tuning for them.

    python -m benchmarks.tuning workspaces/quickstart TRIAL [TRIAL …] [--steps 200]

For each trial of a finished sweep: log spectral distance to its held-out takes (validation and test), difference to
float32 on average and on the worst take, bytes of the bundle with brotli, and the seconds of tuning steps. Tunes in a
copy; the workspace stays as it is.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import shutil
import tempfile

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from benchmarks.rendering import newest_features, rendered
from tinytimbre.config import TUNED_BITS, Quantisation, SweepConfig, load_config
from tinytimbre.decoders import Decoder
from tinytimbre.decoders.base import REVERB
from tinytimbre.export.bundle import export_bundle, load_bundle
from tinytimbre.export.packing import rounded
from tinytimbre.export.settings import make_settings
from tinytimbre.export.size import measure_bundle
from tinytimbre.features.artifact import load_statistics
from tinytimbre.features.examples import TakeFeatures, read_features
from tinytimbre.quality.metrics import log_spectral_db
from tinytimbre.sweep import Trial, TrialStore
from tinytimbre.sweep.tuning import tune_trials, tuned_decoder

PLAIN: tuple[Quantisation, ...] = ("float32", "float16", "uint8", "int8", "int6", "int4")
UNTUNED_BITS = (3, 2)


def main() -> None:
    """Prints one table per trial."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workspace", type=pathlib.Path)
    parser.add_argument("trials", nargs="+", metavar="TRIAL")
    parser.add_argument("--steps", type=int, default=200)
    args = parser.parse_args()
    config = load_config(args.workspace / "config.yaml")
    config = config.model_copy(update={"export": config.export.model_copy(update={"tuning_steps": args.steps})})
    features = newest_features(args.workspace)
    for trial_id in args.trials:
        with tempfile.TemporaryDirectory() as folder:
            shutil.copytree(args.workspace / "trials" / trial_id, pathlib.Path(folder) / "trials" / trial_id)
            report(trial_id, store=TrialStore(pathlib.Path(folder) / "trials"), features=features, config=config)


def report(trial_id: str, *, store: TrialStore, features: pathlib.Path, config: SweepConfig) -> None:
    """All quantisations of one trial."""
    trial, decoder = store.trial(trial_id), store.load_decoder(trial_id)
    statistics = load_statistics(features)[trial.instrument]
    settings = make_settings(
        config=config, decoder=trial.decoder, instrument=trial.instrument, trial_id=trial_id, statistics=statistics,
        reverb=decoder.reverb,
    )  # fmt: skip
    takes = [
        t for split in ("validation", "test") for t in read_features(features, split=split, instrument=trial.instrument)
    ]
    spec = trial.decoder
    shape = f"{spec.kind} {spec.width}x{spec.depth}, {trial.parameters:,} parameters"
    print(f"\n## {trial.instrument}, {shape}, {len(takes)} takes")
    print("\n| | LSD, dB | to float32 | worst take | brotli | tuning, s |\n|---|---|---|---|---|---|")
    reference = distances(decoder, takes, config=config)
    for quantisation in (*PLAIN, *TUNED_BITS):
        made, seconds = _decoder(trial, quantisation, store=store, features=features, config=config)
        with tempfile.TemporaryDirectory() as output:
            # A room is tuned along.
            own = settings.model_copy(update={"reverb": made.reverb})
            [bundle] = export_bundle(made, settings=own, quantisations=[quantisation], output=output)
            size = measure_bundle(bundle.path).total_brotli
            _row(
                quantisation,
                distances(load_bundle(bundle.path).decoder, takes, config=config),
                reference,
                f"{size:,}",
                seconds,
            )
    weights = decoder.get_weights()
    for bits in UNTUNED_BITS:
        decoder.set_weights({n: value if n == REVERB else rounded(value, bits=bits) for n, value in weights.items()})
        _row(f"{bits} bits, not tuned", distances(decoder, takes, config=config), reference, "", "")


def _decoder(
    trial: Trial, quantisation: Quantisation, *, store: TrialStore, features: pathlib.Path, config: SweepConfig
) -> tuple[Decoder, str]:
    """The decoder to export, and the seconds of its tuning if it was tuned."""
    if quantisation not in TUNED_BITS:
        return store.load_decoder(trial.trial_id), ""
    (result,) = tune_trials(
        [trial], quantisation=quantisation, features_dir=str(features), store=store, config=config, jobs=1
    )
    decoder = tuned_decoder(trial.trial_id, quantisation=quantisation, store=store, config=config)
    return decoder, f"{result.train_seconds:.1f}"


def _row(name: str, found: np.ndarray, reference: np.ndarray, size: str, seconds: str) -> None:
    worse = found - reference
    print(
        f"| {name} | {found.mean():.3f} | {worse.mean():+.3f} | {worse.max():+.3f} | {size} | {seconds} |", flush=True
    )


def distances(decoder: Decoder, takes: list[TakeFeatures], *, config: SweepConfig) -> np.ndarray:
    """Log spectral distance of each take, dB."""
    rate_hz = config.audio.sample_rate_hz
    return np.array(
        [log_spectral_db(one.audio, rendered(decoder, one, config=config), sample_rate_hz=rate_hz) for one in takes]
    )


if __name__ == "__main__":
    main()
