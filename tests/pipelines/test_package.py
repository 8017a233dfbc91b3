from __future__ import annotations

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "export"))

from exported_bundles import settings_of, spec_of, trained

from pipelines.cli import main
from tinytimbre.export.bundle import export_bundle


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    decoder, folder = trained(spec_of("cnn1")), tmp_path_factory.mktemp("model")
    [bundle] = export_bundle(decoder, settings=settings_of(decoder.spec), quantisations=["int4"], output=folder)
    return bundle.path


@pytest.mark.parametrize(
    ("profile", "files"),
    [
        ("magenta", ["model.json", "settings.json", "weights.bin"]),
        ("block", ["block.bin", "block.json", "model.json", "settings.json", "weights.bin"]),
    ],
)
def test_a_model_is_packaged(
    model: pathlib.Path, profile: str, files: list[str], tmp_path: pathlib.Path, capfd: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "out"
    assert main(["package", str(model), "--profile", profile, "--to", str(target)]) == 0
    assert sorted(path.name for path in target.iterdir()) == files
    told = sum(path.stat().st_size for path in target.iterdir())
    assert f"{told:,} bytes" in capfd.readouterr().out


@pytest.mark.parametrize(("profile", "dry"), [("magenta", True), ("block", False)])
def test_a_room_that_a_client_cannot_play_is_said_to_be_left_out(
    profile: str, dry: bool, tmp_path: pathlib.Path, capfd: pytest.CaptureFixture[str]
) -> None:
    decoder = trained(spec_of("cnn1").model_copy(update={"reverb_bands": 3}))
    settings = settings_of(decoder.spec, reverb=decoder.reverb)
    [bundle] = export_bundle(decoder, settings=settings, quantisations=["uint8"], output=tmp_path / "model")
    assert main(["package", str(bundle.path), "--profile", profile, "--to", str(tmp_path / "out")]) == 0
    assert ("left out: the model's room" in capfd.readouterr().out) == dry


def test_what_a_client_would_refuse_is_refused_here(
    model: pathlib.Path, tmp_path: pathlib.Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["package", str(model), "--profile", "vst", "--to", str(tmp_path / "x.tflite")]) == 2
    assert "width 1 instead of 512" in capfd.readouterr().err
    assert main(["package", str(tmp_path), "--profile", "block", "--to", str(tmp_path / "x")]) == 2
    assert "settings.json" in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == []
