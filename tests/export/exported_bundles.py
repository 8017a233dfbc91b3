"""Decoders and settings for the tests of the export."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
from collections.abc import Sequence

import numpy as np

from tinytimbre.config import SearchConfig, SweepConfig
from tinytimbre.decoders import Decoder, DecoderSpec, build_decoder
from tinytimbre.export.bundle import checksum
from tinytimbre.export.settings import BundleSettings, DataLicence, make_settings
from tinytimbre.features.statistics import Distribution, InstrumentStatistics
from tinytimbre.synthesis import Reverb

QUANTISATIONS = ("float32", "float16", "int8", "uint8", "int6", "int4")
SPECS = {
    "gru8": ("gru", 8, 0, 3),
    "gru1": ("gru", 1, 0, 3),
    "gru32-dense": ("gru", 32, 2, 3),
    "gru96": ("gru", 96, 0, 3),
    "cnn8": ("cnn", 8, 4, 3),
    "cnn16-deep": ("cnn", 16, 8, 2),
    "cnn1": ("cnn", 1, 1, 2),
    "cnn4-stateless": ("cnn", 4, 0, 3),
}


def spec_of(name: str) -> DecoderSpec:
    kind, width, depth, kernel_size = SPECS[name]
    return DecoderSpec(
        kind=kind, input="loudness", harmonics=60, noise_bands=65, width=width, depth=depth, kernel_size=kernel_size
    )


def trained(spec: DecoderSpec, *, seed: int = 0) -> Decoder:
    """A decoder whose weights are all different from where training starts, biases above all."""
    decoder = build_decoder(spec, seed=seed)
    rng = np.random.default_rng(seed + 1)
    decoder.set_weights({k: v + rng.normal(0, 0.1, v.shape).astype("f") for k, v in decoder.get_weights().items()})
    return decoder


def settings_of(
    spec: DecoderSpec, *, trial_id: str = "t0123", instrument: str = "violin", reverb: Reverb | None = None
) -> BundleSettings:
    around = Distribution(mean=0.0, std=1.0, min=-2.0, max=2.0, quantiles={"p05": -1.6, "p50": 0.0, "p95": 1.6})
    statistics = InstrumentStatistics(
        pitch_midi=around, loudness_db=around, rms_energy_db=around, seconds=9.0, voiced_seconds=8.0, takes=3
    )
    space = {"decoder": ["gru"], "input": ["loudness"], "harmonics": [60], "noise_bands": [65], "width": [8]}
    return make_settings(
        config=SweepConfig(name="probe", search=SearchConfig(space=space)),
        decoder=spec,
        instrument=instrument,
        trial_id=trial_id,
        statistics=statistics,
        features_fingerprint="f00d",
        data=(DataLicence(source="made in the test", licence="CC0-1.0", attribution="nobody"),),
        reverb=reverb,
    )


def renamed(folder: pathlib.Path, *, instrument: str) -> None:
    """Makes a bundle that of another instrument."""
    path = folder / "settings.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "instrument": instrument}))


def resealed(folder: pathlib.Path) -> None:
    """Gives a bundle whose files were changed the checksum that they have now."""
    path = folder / "settings.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "checksum": checksum(folder)}))


PUBLISHER = """
import sys
from tinytimbre.export.publish import publish_bundle
bundle, to, *cards = sys.argv[1:]
for card in cards:
    print(publish_bundle(bundle, card=card, to=to, instrument="violin").rpartition("/")[2], flush=True)
"""


def publish_at_once(bundle: pathlib.Path, to: pathlib.Path | str, *, orders: Sequence[str]) -> dict[str, str]:
    """Publishes a bundle from one process per order, with one card after the other; gives card → version."""
    commands = [[sys.executable, "-c", PUBLISHER, bundle, to, *order] for order in orders]
    publishers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for command in commands]
    told = [publisher.communicate()[0].split() for publisher in publishers]
    by_card = [dict(zip(order, versions, strict=True)) for order, versions in zip(orders, told, strict=True)]
    assert all(versions == by_card[0] for versions in by_card), "the same content is one version"
    return by_card[0]
