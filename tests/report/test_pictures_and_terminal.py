from __future__ import annotations

import dataclasses
from typing import get_args

import pytest
import rich.console
from PIL import Image
from synthetic_sweep import sweep_tables

from tinytimbre.config import Quantisation
from tinytimbre.report.figure import KINDS, MARKERS, write_figure
from tinytimbre.report.tables import SweepTables, why_no_verdict
from tinytimbre.report.terminal import front_table, summary_table


@pytest.fixture(scope="module")
def sweep(tmp_path_factory) -> SweepTables:
    return sweep_tables(tmp_path_factory.mktemp("s"), instruments=("flute", "[red]$x"), trials=12, takes=5, seconds=0.3)


def _printed(table) -> str:
    console = rich.console.Console(width=240, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    console.print(table)
    return console.export_text()


def test_summary_names_every_instrument_and_its_model(sweep):
    text = _printed(summary_table(sweep))
    assert "[red]$x" in text
    assert "12 (1 failed)" in text
    for verdict in sweep.verdicts.values():
        trial_id, _, quantisation = verdict.chosen.rpartition("-")
        assert f"{trial_id[:8]}-{quantisation}" in text


def test_summary_without_a_verdict(sweep):
    text = _printed(summary_table(dataclasses.replace(sweep, verdicts={})))
    assert "no verdict" in text


def test_why_there_is_no_verdict_is_said(sweep):
    lost = sweep.trials.assign(status="failed", reason=["diverged"] * (len(sweep.trials) - 1) + ["hung"])
    tables = dataclasses.replace(sweep, trials=lost, verdicts={})
    first, second = (why_no_verdict(tables, instrument=name) for name in ("flute", "[red]$x"))
    assert first == "No verdict: none of 12 trials led to a model: diverged (12 times)."
    assert second == "No verdict: none of 12 trials led to a model: diverged (11 times); hung."


def test_front_rows_are_sorted_by_size_and_name_the_chosen(sweep):
    text = _printed(front_table(sweep, instrument="flute"))
    assert "chosen" in text
    assert "best" in text


@pytest.mark.parametrize("metric", ["log_spectral_db", "f0_accuracy_points"])
def test_figure_is_an_image(sweep, tmp_path, metric):
    write_figure(sweep, output=tmp_path / "deep" / "front.png", metric=metric)
    with Image.open(tmp_path / "deep" / "front.png") as image:
        assert image.width > 1000


def test_every_quantisation_has_its_mark():
    assert {KINDS.get(quantisation, quantisation) for quantisation in get_args(Quantisation)} == MARKERS.keys()


def test_figure_is_the_same_each_time(sweep, tmp_path):
    for name in ("a.png", "b.png"):
        write_figure(sweep, output=tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
