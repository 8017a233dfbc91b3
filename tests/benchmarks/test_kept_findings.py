"""The tables in README and docs/findings.md are those that the kept sweeps give."""

from __future__ import annotations

import pathlib

import pytest

from benchmarks.findings.blocks import refreshed
from benchmarks.findings.findings import Findings, findings
from benchmarks.findings.sweeps import Sweep, read_sweeps
from benchmarks.findings.text import blocks
from tinytimbre.export.publish import read_index
from tinytimbre.export.settings import read_settings

ROOT = pathlib.Path(__file__).resolve().parents[2]
KEPT = ROOT / "docs" / "sweeps"
MODELS = ROOT / "web" / "models"


@pytest.fixture(scope="module")
def sweeps() -> list[Sweep]:
    return read_sweeps([KEPT])


@pytest.fixture(scope="module")
def found(sweeps: list[Sweep]) -> list[Findings]:
    return findings(sweeps)


@pytest.mark.parametrize("name", ["README.md", "docs/findings.md"])
def test_a_document_has_the_tables_that_the_sweeps_give(name: str, found: list[Findings], sweeps: list[Sweep]) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    parts = blocks(found, sweeps=sweeps, command="python -m benchmarks.findings docs/sweeps")
    assert refreshed(text, parts, origin=name) == text


def test_the_models_of_the_page_are_those_of_the_tables(found: list[Findings]) -> None:
    listed = read_index(MODELS)["instruments"]
    shown = {one.instrument: one.result.shown for one in found}
    assert set(listed) == {name for name, model in shown.items() if model}
    for name, model in shown.items():
        if model:
            settings = read_settings(MODELS / name / listed[name]["latest"])
            assert f"{settings.trial_id}-{settings.quantisation}" == model.candidate_id


def test_what_ships_is_the_smallest_of_its_quantisation(found: list[Findings]) -> None:
    """Also where the quantisation's own sequence of tests stops before it."""
    for one in found:
        shown = one.result.shown
        assert shown is None or one.result.smallest[shown.quantisation] == shown
