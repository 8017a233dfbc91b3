from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from synthetic_sweep import sweep_tables

from tinytimbre.audio.recording import Problem, Recording, RecordingSet
from tinytimbre.features.examples import TakeFeatures
from tinytimbre.report.data_check import coverage_figure, recordings_table, split_table, take_figure
from tinytimbre.report.exploration import (
    LOSS,
    comparable_trials,
    hyperparameter_importance,
    importance_figure,
    parallel_figure,
)
from tinytimbre.report.html import inline_frame, report_page
from tinytimbre.report.tables import SweepTables


@pytest.fixture(scope="module")
def sweep(tmp_path_factory) -> SweepTables:
    return sweep_tables(tmp_path_factory.mktemp("s"), instruments=("flute",), trials=40, takes=5, seconds=0.3)


def made(sweep: SweepTables, loss_of) -> SweepTables:
    """The same trials with losses that follow a law of their settings."""
    trials = sweep.trials[sweep.trials["status"] != "failed"]
    halves = [
        {"trial_id": row["trial_id"], "step": 100, "train_loss": 1.0, "validation_loss": loss_of(row["input"])}
        for row in trials.to_dict("records")
    ]
    return dataclasses.replace(sweep, curves=pd.DataFrame(halves))


def test_the_setting_that_decides_is_the_most_important(sweep):
    generator = np.random.default_rng(0)
    loss = {"loudness": 3.0, "rms_energy": 1.0}
    tables = made(sweep, lambda level: loss[level] * (1 + 0.02 * generator.random()))
    found = hyperparameter_importance(tables, instrument="flute")
    assert found["hyperparameter"].iloc[0] == "input"
    # Two classes with means d apart have the variance d^2 / 4; half of the shuffled are d off: d^2 / 2, twice as much.
    # Folds of seven trials shuffle by chance, and classes are not quite of one size.
    assert found["importance"].iloc[0] == pytest.approx(2.0, abs=0.6)
    assert found["importance"].iloc[1:].max() < 0.1
    assert found.attrs["explained"] > 0.9


def test_where_nothing_matters_nothing_is_important(sweep):
    generator = np.random.default_rng(0)
    found = hyperparameter_importance(made(sweep, lambda _: 2 + generator.random()), instrument="flute")
    assert found.attrs["explained"] < 0.3
    assert found["importance"].max() < 0.3


def test_few_trials_say_nothing(sweep, tmp_path):
    few = dataclasses.replace(sweep, trials=sweep.trials.head(8))
    assert hyperparameter_importance(few, instrument="flute").empty
    importance_figure(few, instrument="flute").savefig(tmp_path / "few.png")
    nobody = dataclasses.replace(sweep, trials=sweep.trials.assign(status="failed"))
    parallel_figure(nobody, instrument="flute").savefig(tmp_path / "nobody.png")


def test_trials_are_compared_at_a_step_that_all_reached(sweep):
    table = comparable_trials(sweep, instrument="flute")
    assert len(table) == (sweep.trials["status"] != "failed").sum()
    curves = sweep.curves.set_index(["trial_id", "step"])["validation_loss"]
    for row in table.to_dict("records"):
        assert row[LOSS] == curves[row["trial_id"], 100]  # stopped trials end there
    assert {"decoder", "input", "width"} <= set(table.columns)
    assert "harmonics" not in table.columns  # the same in all


def test_figures_are_drawn(sweep, tmp_path):
    for figure in (parallel_figure(sweep, instrument="flute"), importance_figure(sweep, instrument="flute")):
        figure.savefig(tmp_path / "figure.png")
        assert (tmp_path / "figure.png").stat().st_size > 10_000
    assert len(parallel_figure(sweep, instrument="flute").axes[0].lines) > (sweep.trials["status"] != "failed").sum()


def test_a_page_fits_into_another(sweep):
    page = report_page(dataclasses.replace(sweep, audio=[]), title='A "title"')
    frame = inline_frame(page, height_px=300)
    assert frame.count('"') == 4  # nothing inside ends an attribute
    assert "height:300px" in frame


def recordings() -> RecordingSet:
    base = {"instrument": "flute", "seconds": 2.0, "sample_rate_hz": 44_100, "channels": 1}
    return RecordingSet(
        sample_rate_hz=16_000,
        recordings=(
            Recording(recording_id="a", path="a.wav", take_id="a", split="train", **base),
            Recording(recording_id="b", path="b.wav", take_id="a", split="train", **base),
            Recording(recording_id="c", path="c.wav", take_id="c", split="test", **base),
            Recording(
                recording_id="d", path="d.wav", take_id="d", problems=(Problem(kind="silent", message="it is"),), **base
            ),
        ),
    )


def test_recordings_are_counted_by_split():
    table = recordings_table(recordings())
    assert list(table["split"]) == ["train", "train", "test", "left out"]
    assert list(table["findings"]) == ["", "", "", "silent"]
    counted = split_table(recordings()).set_index("split")
    assert counted.loc["train", ["takes", "files", "seconds"]].tolist() == [1, 2, 4.0]
    assert counted.loc["left out", "files"] == 1


def test_features_are_drawn(tmp_path):
    frames = 100
    curve = np.full(frames, 330.0, np.float32)
    audio = np.random.default_rng(0).normal(0, 0.1, frames * 320).astype(np.float32)
    take = TakeFeatures("r", "t", "flute$", audio, curve, curve / 330, curve / 330 - 20, curve / 330 - 20)
    take_figure(take, sample_rate_hz=16_000).savefig(tmp_path / "take.png")
    figure = coverage_figure({"train": [take], "test": []}, instrument="flute$")
    figure.savefig(tmp_path / "coverage.png")
    (label,) = [text.get_text() for text in figure.axes[1].get_legend().get_texts()]
    assert label == "train"
