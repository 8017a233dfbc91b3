from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from exported_bundles import QUANTISATIONS, SPECS, resealed, settings_of, spec_of, trained

from tinytimbre.errors import TinyTimbreError
from tinytimbre.export.bundle import export_bundle, load_bundle, read_tensors, validate_bundle
from tinytimbre.export.settings import BundleSettings


@pytest.fixture
def copy(bundles, tmp_path):
    """A bundle to damage."""
    return shutil.copytree(bundles("gru8")[1] / "uint8", tmp_path / "model")


@pytest.mark.parametrize("name", SPECS)
def test_float32_comes_back_exactly(bundles, name):
    decoder, folder = bundles(name)
    loaded = load_bundle(folder / "float32")
    for weight, value in loaded.decoder.get_weights().items():
        np.testing.assert_array_equal(value, decoder.get_weights()[weight])
    assert loaded.settings.decoder == decoder.spec


@pytest.mark.parametrize("quantisation", QUANTISATIONS)
def test_what_is_loaded_is_what_was_stored(bundles, quantisation):
    _, folder = bundles("cnn8")
    loaded, stored = load_bundle(folder / quantisation), read_tensors(folder / quantisation)
    for weight, value in loaded.decoder.get_weights().items():
        np.testing.assert_array_equal(value.ravel(), stored[weight].ravel())
    assert loaded.settings.quantisation == quantisation


def test_each_quantisation_is_a_whole_bundle_and_smaller_than_float32(bundles):
    _, folder = bundles("gru32-dense")
    sizes = []
    for quantisation in QUANTISATIONS:
        path = folder / quantisation
        assert sorted(p.name for p in path.iterdir()) == ["model.json", "settings.json", "weights.bin"]
        assert validate_bundle(path).quantisation == quantisation
        sizes.append((path / "weights.bin").stat().st_size)
    # Integers below 9 bits take a byte each; what they save shows when they are compressed.
    assert sizes[:2] == sorted(sizes[:2], reverse=True)
    assert max(sizes[2:]) < sizes[1]


def test_settings_survive_and_are_checked(bundles):
    settings = settings_of(spec_of("cnn8"))
    assert BundleSettings.model_validate_json(settings.to_json()) == settings
    assert settings.control_layout.noise == (61, 126)
    assert settings.graph.state_size == spec_of("cnn8").state_size
    with pytest.raises(ValueError, match="agree"):
        BundleSettings.model_validate({**settings.model_dump(), "harmonics": 30})
    with pytest.raises(ValueError, match="hop"):
        BundleSettings.model_validate({**settings.model_dump(), "hop": 100})


def test_settings_of_another_decoder_are_refused(tmp_path):
    with pytest.raises(ValueError, match="settings describe"):
        export_bundle(
            trained(spec_of("gru8")), settings=settings_of(spec_of("cnn8")), quantisations=["uint8"], output=tmp_path
        )


def test_a_diverged_decoder_is_not_exported(tmp_path):
    decoder = trained(spec_of("gru8"))
    weights = decoder.get_weights()
    weights["head_bias"][3] = np.nan
    decoder.set_weights(weights)
    with pytest.raises(TinyTimbreError, match="head_bias"):
        export_bundle(decoder, settings=settings_of(decoder.spec), quantisations=["uint8"], output=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_exporting_again_gives_the_same_bytes(tmp_path):
    for folder in ("a", "b"):
        decoder = trained(spec_of("gru8"), seed=4)
        export_bundle(decoder, settings=settings_of(decoder.spec), quantisations=["uint8"], output=tmp_path / folder)
    for name in ("model.json", "weights.bin", "settings.json"):
        first, second = (tmp_path / folder / "uint8" / name for folder in "ab")
        assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("name", ["model.json", "weights.bin", "settings.json"])
def test_a_missing_file_is_named(copy, name):
    (copy / name).unlink()
    with pytest.raises(TinyTimbreError, match=name.replace(".", r"\.")):
        load_bundle(copy)


@pytest.mark.parametrize("name", ["model.json", "weights.bin", "settings.json"])
@pytest.mark.parametrize("kept", [0, 0.6])
def test_a_truncated_file_is_named(copy, name, kept):
    data = (copy / name).read_bytes()
    (copy / name).write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(TinyTimbreError, match=name.replace(".", r"\.")):
        validate_bundle(copy)


@pytest.mark.parametrize("text", ['{"format_version": 3}', "[]", '{"instrument": "violin"}'])
def test_another_format_is_refused(copy, text):
    (copy / "settings.json").write_text(text)
    with pytest.raises(TinyTimbreError, match="format 1"):
        load_bundle(copy)


def test_incomplete_settings_say_what_is_missing(copy):
    values = json.loads((copy / "settings.json").read_text())
    del values["hop"]
    (copy / "settings.json").write_text(json.dumps(values))
    with pytest.raises(TinyTimbreError, match="hop"):
        load_bundle(copy)


@pytest.mark.parametrize("name", ["model.json", "weights.bin"])
def test_a_changed_file_is_noticed(copy, name):
    data = bytearray((copy / name).read_bytes())
    at = data.index(b"producer") + 11 if name == "model.json" else len(data) // 2  # a digit; a weight
    data[at] ^= 1
    (copy / name).write_bytes(data)
    with pytest.raises(TinyTimbreError, match="checksum"):
        validate_bundle(copy)
    with pytest.raises(TinyTimbreError, match="checksum"):
        load_bundle(copy)


def test_the_first_version_is_still_read(copy):
    values = json.loads((copy / "settings.json").read_text())
    del values["checksum"]
    (copy / "settings.json").write_text(json.dumps({**values, "format_version": 1}))
    assert load_bundle(copy).settings.format_version == 1
    (copy / "settings.json").write_text(json.dumps(values))
    with pytest.raises(TinyTimbreError, match="not given"):
        load_bundle(copy)


@pytest.mark.parametrize("dtype", ["int17", "int1", "float8"])
def test_an_unknown_quantisation_is_refused(copy, dtype):
    text = (copy / "model.json").read_text().replace('"dtype":"uint8"', f'"dtype":"{dtype}"')
    (copy / "model.json").write_text(text)
    resealed(copy)
    with pytest.raises(TinyTimbreError, match=dtype):
        validate_bundle(copy)


def test_files_of_two_models_do_not_go_together(bundles, copy):
    shutil.copy(bundles("cnn8")[1] / "uint8" / "settings.json", copy)
    with pytest.raises(TinyTimbreError, match="two models"):
        load_bundle(copy)
