from __future__ import annotations

import json
import pathlib
import re
import shutil

import pytest

import components.versions
from components.scope import configuration, scoped
from components.versions import code_version
from tinytimbre.config import GateConfig, SearchConfig, SweepConfig, TrainingConfig, config_from_json
from tinytimbre.errors import TinyTimbreError
from tinytimbre.export.node import reader_files


def _config(**changes: object) -> SweepConfig:
    return SweepConfig.model_validate({"name": "x", "search": SearchConfig(space={"width": [8, 16]}), **changes})


def test_a_component_sees_the_sections_it_declares() -> None:
    config = _config(training=TrainingConfig(batch_size=3), seed=5)
    seen = config_from_json(scoped(config, "training", "seed"))
    assert seen.training == config.training
    assert seen.seed == 5
    assert seen.name != config.name


def test_other_sections_do_not_reach_its_cache_key() -> None:
    strict = _config(gates=GateConfig(loudness_db=0.01))
    assert scoped(_config(), "training") == scoped(strict, "training")
    assert scoped(_config(), "gates") != scoped(strict, "gates")
    elsewhere = _config(beam=["--runner=FlinkRunner"], kubeflow={"retries": 9})
    assert scoped(_config(), "training") == scoped(elsewhere, "training")
    assert not {"kubeflow", "beam"} & set(json.loads(scoped(_config(), "training")))


def test_a_run_may_scale_the_budget_of_its_configuration() -> None:
    properties = {"config": scoped(_config(), "budget")}
    assert configuration(properties).budget.rung_steps == (100, 300, 900)
    assert configuration({**properties, "budget_scale": 0.5}).budget.rung_steps == (50, 150, 450)


def test_the_code_version_follows_the_source(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(components.versions.ROOT / "tinytimbre" / "quality", tmp_path / "tinytimbre" / "quality")
    monkeypatch.setattr(components.versions, "ROOT", tmp_path)
    before = code_version("tinytimbre.quality")
    assert re.fullmatch("[0-9a-f]{12}", before)
    assert code_version("tinytimbre.quality") == before
    with (tmp_path / "tinytimbre" / "quality" / "gates.py").open("a") as file:
        file.write("# edited\n")
    assert code_version("tinytimbre.quality") != before


def test_every_package_that_a_component_names_exists() -> None:
    # A misspelt package would digest nothing, for ever the same.
    named = re.compile(r"\"((?:tinytimbre|components)\.[a-z_.]+)\"")
    sources = sorted((components.versions.ROOT / "components").rglob("component.py"))
    names = {name for source in sources for name in named.findall(source.read_text())}
    assert len(names) > 10
    for name in names:
        path = components.versions.ROOT.joinpath(*name.split("."))
        assert path.is_dir() or path.with_suffix(".py").is_file(), name


def test_the_code_version_follows_the_javascript_that_reads_the_models(tmp_path: pathlib.Path) -> None:
    root = components.versions.ROOT
    files = [file.relative_to(root) for file in reader_files()]
    script = (root / files[0]).read_text()
    # What the script imports from the repository, and what that imports in turn, is in the list.
    reader = (root / files[1]).read_text()
    imported = {name for text in (script, reader) for name in re.findall(r"from '\.[^']*/([^'/]+)'", text)}
    assert imported
    assert imported <= {file.name for file in files}
    plain = code_version("tinytimbre.quality")
    assert code_version("tinytimbre.quality", files=reader_files()) != plain
    with pytest.raises(TinyTimbreError, match="installed without its repository"):
        reader_files(tmp_path)
