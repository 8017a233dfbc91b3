"""Profile ``vst``: read back with TensorFlow Lite, checked the way that the plug-in's loader checks."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest
import tensorflow as tf
from exported_bundles import settings_of, spec_of, trained

from tinytimbre.ddsp_door import import_ddsp
from tinytimbre.decoders import DecoderSpec
from tinytimbre.errors import TinyTimbreError
from tinytimbre.export.bundle import LoadedBundle
from tinytimbre.export.levels import level_from_energy
from tinytimbre.export.vst import check_vst, export_vst

INPUTS = {"call_f0_scaled:0": 1, "call_pw_scaled:0": 1, "call_state:0": 512}
OUTPUTS = {f"StatefulPartitionedCall:{i}": size for i, size in enumerate((1, 60, 65, 512))}


def bundle_of(level):
    spec = DecoderSpec(kind="gru", input=level, harmonics=60, noise_bands=65, width=512)
    return LoadedBundle(settings=settings_of(spec), decoder=trained(spec))


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    bundle = bundle_of("rms_energy")
    path = tmp_path_factory.mktemp("vst") / "Violin.tflite"
    return bundle, export_vst(bundle, output=path, export_time="2026-01-31 12:00:00")


def interpreter(path):
    found = tf.lite.Interpreter(model_path=str(path), num_threads=1)
    found.allocate_tensors()
    return found


def play(model, frames):
    """Outputs by name of each frame [f0_scaled, pw_scaled], the state handed on."""
    places = {detail["name"]: detail["index"] for detail in (*model.get_input_details(), *model.get_output_details())}
    state, found = np.zeros(512, np.float32), []
    for f0_scaled, pw_scaled in frames:
        for name, value in zip(INPUTS, ([f0_scaled], [pw_scaled], state), strict=True):
            model.set_tensor(places[name], np.asarray(value, np.float32))
        model.invoke()
        found.append([model.get_tensor(places[name]) for name in OUTPUTS])
        state = found[-1][3]
    return [np.stack(values) for values in zip(*found, strict=True)]


def test_names_and_sizes_are_those_that_the_loader_compares(exported):
    model = interpreter(exported[1])
    for details, expected in ((model.get_input_details(), INPUTS), (model.get_output_details(), OUTPUTS)):
        assert {detail["name"]: int(np.prod(detail["shape"])) for detail in details} == expected
        assert all(detail["dtype"] == np.float32 for detail in details)


def test_metadata_lies_in_an_archive_at_the_end(exported):
    with zipfile.ZipFile(exported[1]) as archive:
        assert archive.testzip() is None
        metadata = json.loads(archive.read("metadata.json"))
    statistics = exported[0].settings.statistics
    assert metadata["export_time"] == "2026-01-31 12:00:00"
    assert metadata["mean_min_pitch_note"] == statistics.pitch_midi.quantiles["p05"]
    assert metadata["mean_max_power_note"] == statistics.rms_energy_db.quantiles["p95"]
    assert metadata["mean_max_pitch_note_hz"] == pytest.approx(
        float(import_ddsp().core.midi_to_hz(metadata["mean_max_pitch_note"])), rel=1e-5
    )
    kept = ("num_harmonics", "num_noise_amps", "frame_rate", "frame_size", "sample_rate")
    assert [metadata[name] for name in kept] == [60, 65, 50, 1024, 16_000]


def test_controls_are_those_of_the_decoder_after_ddsp_s_normalisation(exported):
    bundle, path = exported
    frames = np.stack([np.linspace(0.4, 0.8, 20), np.linspace(0.2, 0.9, 20)], axis=-1).astype(np.float32)
    amps, distribution, noise, _ = play(interpreter(path), frames)
    controls = bundle.decoder(frames[np.newaxis]).numpy()[0]
    f0_hz = import_ddsp().core.midi_to_hz(127 * frames[:, :1])
    expected = import_ddsp().core.normalize_harmonics(controls[np.newaxis, :, 1:61], f0_hz[np.newaxis], 16_000)[0]
    # 20 recurrent steps of float32 in another implementation.
    np.testing.assert_allclose(amps, controls[:, :1], atol=1e-5)
    np.testing.assert_allclose(distribution, expected, atol=1e-5)
    np.testing.assert_allclose(noise, controls[:, 61:], atol=1e-5)
    assert (distribution[-1][f0_hz[-1] * np.arange(1, 61) >= 8000] == 0).all()


def test_a_model_of_loudness_gets_its_level(tmp_path):
    bundle = bundle_of("loudness")
    shifted = bundle.settings.statistics.loudness_db.model_copy(update={"mean": -9.0, "std": 2.0, "max": 4.0})
    statistics = bundle.settings.statistics.model_copy(update={"loudness_db": shifted})
    bundle = LoadedBundle(
        settings=bundle.settings.model_copy(update={"statistics": statistics}), decoder=bundle.decoder
    )
    path = export_vst(bundle, output=tmp_path / "x.tflite", export_time="now")
    gain, offset = level_from_energy(bundle.settings)
    energy_db = np.array([-1.0, 1.0, -80.0])
    level_db = [*(gain * energy_db[:2] + offset), -80.0]
    frames = np.stack([np.full(3, 0.5), energy_db / 80 + 1], axis=-1)
    heard = np.stack([np.full(3, 0.5), np.array(level_db) / 80 + 1], axis=-1).astype(np.float32)
    amps, *_ = play(interpreter(path), frames)
    np.testing.assert_allclose(amps, bundle.decoder(heard[np.newaxis]).numpy()[0, :, :1], atol=1e-5)


@pytest.mark.parametrize("name", ["gru96", "cnn8"])
def test_other_sizes_are_refused_with_the_reason(name):
    with pytest.raises(TinyTimbreError, match=r"width .* instead of 512"):
        check_vst(settings_of(spec_of(name)))
    good = settings_of(DecoderSpec(kind="gru", input="loudness", harmonics=60, noise_bands=65, width=512))
    check_vst(good)
    with pytest.raises(TinyTimbreError, match=r"frame_rate_hz 125\.0 instead of 50"):
        check_vst(good.model_copy(update={"frame_rate_hz": 125.0, "hop": 128}))
