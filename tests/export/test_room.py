"""A model with a room: its graph is that of the decoder alone, its settings bring the room back."""

from __future__ import annotations

import json
import pathlib
import shutil

import numpy as np
import pytest
from exported_bundles import QUANTISATIONS, settings_of, spec_of, trained

from tinytimbre.decoders import Decoder, build_decoder
from tinytimbre.errors import TinyTimbreError
from tinytimbre.export.bundle import export_bundle, load_bundle
from tinytimbre.export.card import CardFacts, write_card
from tinytimbre.export.settings import BundleSettings, read_settings
from tinytimbre.export.size import measure_bundle
from tinytimbre.sweep.plan import estimated_bytes

BANDS = 7


@pytest.fixture(scope="module")
def decoder() -> Decoder:
    return trained(spec_of("gru8").model_copy(update={"reverb_bands": BANDS}))


@pytest.fixture(scope="module")
def exported(decoder: Decoder, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("room")
    settings = settings_of(decoder.spec, reverb=decoder.reverb)
    export_bundle(decoder, settings=settings, quantisations=QUANTISATIONS, output=folder)
    return folder


def test_graph_and_weights_are_those_of_the_decoder_alone(decoder, exported, tmp_path):
    alone = build_decoder(decoder.spec.without_reverb())
    alone.set_weights({name: value for name, value in decoder.get_weights().items() if name != "reverb"})
    export_bundle(alone, settings=settings_of(alone.spec), quantisations=QUANTISATIONS, output=tmp_path)
    for quantisation in QUANTISATIONS:
        for name in ("model.json", "weights.bin"):
            assert (exported / quantisation / name).read_bytes() == (tmp_path / quantisation / name).read_bytes()


@pytest.mark.parametrize("quantisation", QUANTISATIONS)
def test_the_room_comes_back_exactly(decoder, exported, quantisation):
    loaded = load_bundle(exported / quantisation)
    assert loaded.settings.reverb == loaded.decoder.reverb == decoder.reverb
    assert len(loaded.settings.reverb.levels) == BANDS
    assert BundleSettings.model_validate_json(loaded.settings.to_json()) == loaded.settings


def test_without_a_room_the_settings_are_as_before(bundles):
    values = json.loads((bundles("gru8")[1] / "uint8" / "settings.json").read_text())
    assert values["reverb"] is None
    assert "reverb_bands" not in values["decoder"]


def test_the_plan_knows_the_size_within_a_tenth(decoder, exported):
    size = measure_bundle(exported / "float16")
    assert estimated_bytes(decoder.spec) == pytest.approx(size.total_bytes, rel=0.1)
    dry = estimated_bytes(decoder.spec.without_reverb())
    written = (exported / "float16" / "settings.json").read_text()
    room = len(written) - len(settings_of(decoder.spec.without_reverb()).to_json())
    # Numbers have one to nine characters.
    assert estimated_bytes(decoder.spec) - dry == pytest.approx(room, rel=0.2)


def test_settings_with_another_room_are_refused(decoder, tmp_path):
    with pytest.raises(ValueError, match="bands"):
        settings_of(decoder.spec)
    settings = settings_of(decoder.spec, reverb=trained(decoder.spec, seed=9).reverb)
    with pytest.raises(ValueError, match="room"):
        export_bundle(decoder, settings=settings, quantisations=["uint8"], output=tmp_path)


@pytest.mark.parametrize("room", [None, {"levels": [0.1], "rt60_secs": [0.1]}, {"levels": [9.0] * 7}])
def test_a_room_that_does_not_fit_is_named(exported, tmp_path, room):
    bundle = shutil.copytree(exported / "uint8", tmp_path / "model")
    values = json.loads((bundle / "settings.json").read_text())
    (bundle / "settings.json").write_text(json.dumps({**values, "reverb": room}))
    with pytest.raises(TinyTimbreError, match="reverb"):
        load_bundle(bundle)


def test_a_diverged_room_is_not_exported(decoder, tmp_path):
    broken = build_decoder(decoder.spec)
    broken.set_weights({**decoder.get_weights(), "reverb": np.full((2, BANDS), np.nan, np.float32)})
    with pytest.raises(TinyTimbreError, match="reverb"):
        export_bundle(
            broken,
            settings=settings_of(decoder.spec, reverb=decoder.reverb),
            quantisations=["uint8"],
            output=tmp_path,
        )


def test_the_card_tells_of_the_room(decoder, exported):
    folder = exported / "uint8"
    facts = CardFacts(
        settings=read_settings(folder),
        size=measure_bundle(folder),
        decoder_mflops=decoder.spec.mflops(frame_rate_hz=50),
        takes=(),
        metrics=(),
        verdict="none",
    )
    text = write_card(facts)
    assert "a room of 7 bands" in text
    assert f"room {decoder.spec.reverb_mflops(sample_rate_hz=16_000):.2f}" in text
