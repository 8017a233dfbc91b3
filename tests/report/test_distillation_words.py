"""Students beside their twins: the numbers, the words, and where they appear."""

from __future__ import annotations

import dataclasses
import io

import pandas as pd
import pytest
import rich.console
from synthetic_sweep import sweep_tables

from tinytimbre.quality.gates import METRICS
from tinytimbre.report.data import plot_data
from tinytimbre.report.distillation import distillation_words, teacher_of, twin_pairs
from tinytimbre.report.exploration import comparable_trials
from tinytimbre.report.html import write_report
from tinytimbre.report.tables import SweepTables, agreements
from tinytimbre.report.terminal import front_table


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> SweepTables:
    return sweep_tables(tmp_path_factory.mktemp("sounds"), instruments=("flute",), trials=12, takes=5, seconds=0.5)


def taught(tables: SweepTables, *, pairs: int) -> SweepTables:
    """The largest finalist teaches; of the others, two by two, one is called the student of the other."""
    trials = tables.trials.copy()
    done = trials[trials["status"] == "done"].sort_values("parameters", ascending=False)["trial_id"].tolist()
    trials = trials.set_index("trial_id", drop=False)
    trials.loc[done[0], "distillation"] = "teacher"
    for student, twin in zip(done[1::2][:pairs], done[2::2], strict=False):
        trials.loc[student, ["distillation", "teacher_id", "twin_id"]] = ["student", done[0], twin]
    return dataclasses.replace(tables, trials=trials.reset_index(drop=True))


def test_pairs_hold_the_differences(plain):
    tables = taught(plain, pairs=2)
    pairs = twin_pairs(tables, instrument="flute")
    assert len(pairs) == 2
    candidates = tables.candidates.set_index("candidate_id")
    losses = tables.trials.set_index("trial_id")["validation_loss"]
    for row in pairs.to_dict("records"):
        assert row["validation_loss_worse"] == pytest.approx(losses[row["student"]] - losses[row["twin"]])
        assert row["quantisation"] == "float32"
        for metric in METRICS:
            worse = (
                candidates.loc[f"{row['student']}-float32", metric] - candidates.loc[f"{row['twin']}-float32", metric]
            )
            # Of all metrics only pitch accuracy is better when higher.
            expected = -worse if metric == "f0_accuracy_points" else worse
            assert row[f"{metric}_worse"] == pytest.approx(expected)


def test_students_say_nothing_about_rungs(plain):
    trials = plain.trials[plain.trials["status"] == "done"].iloc[-2:]
    students = trials.assign(trial_id=["first", "second"], distillation="student", steps=450, validation_loss=1.0)
    ends = {"trial_id": ["first", "second"], "step": 450, "train_loss": 1.0, "validation_loss": 1.0}
    mixed = dataclasses.replace(
        plain, trials=pd.concat([plain.trials, students]), curves=pd.concat([plain.curves, pd.DataFrame(ends)])
    )
    assert any(found.n for found in agreements(plain))
    assert agreements(mixed) == agreements(plain)
    assert not {"first", "second"} & set(comparable_trials(mixed, instrument="flute")["trial_id"])


def test_words_count_who_is_better(plain):
    tables = taught(plain, pairs=2)
    pairs = twin_pairs(tables, instrument="flute")
    trials = tables.trials.set_index("trial_id", drop=False)
    trials.loc[pairs["student"][0], "validation_loss"] = 1.0
    trials.loc[pairs["twin"][0], "validation_loss"] = 2.0
    trials.loc[pairs["student"][1], "validation_loss"] = 3.0
    trials.loc[pairs["twin"][1], "validation_loss"] = 2.0
    words = distillation_words(dataclasses.replace(tables, trials=trials), instrument="flute")
    assert f"2 models distilled from {pairs['teacher'][0]}" in words
    assert "a lower validation loss than the same model trained on audio alone: 1 of 2" in words
    assert "(mean +0.0 %" in words  # half as much and half as much again


def test_words_where_there_is_nothing_to_compare(plain):
    assert distillation_words(plain, instrument="flute") == ""
    alone = taught(plain, pairs=0)
    assert "Nothing to distil" in distillation_words(alone, instrument="flute")
    tables = taught(plain, pairs=1)
    (student,) = tables.trials.loc[tables.trials["distillation"] == "student", "trial_id"]
    failed = tables.trials.assign(status=tables.trials["status"].where(tables.trials["trial_id"] != student, "failed"))
    words = distillation_words(dataclasses.replace(tables, trials=failed), instrument="flute")
    assert words.endswith(": 1 failed.")


def test_pages_and_terminals_say_who_was_distilled(plain, tmp_path):
    tables = taught(plain, pairs=2)
    (first, second) = twin_pairs(tables, instrument="flute").to_dict("records")
    data = plot_data(tables, instrument="flute")
    for part in ("points", "curves"):
        teachers = {entry["trial_id"]: entry["teacher"] for entry in data[part]}
        assert teachers[first["student"]] == teachers[second["student"]] == first["teacher"]
        assert teachers[first["twin"]] == ""
    assert teacher_of(tables, f"{first['student']}-uint8") == first["teacher"]
    assert teacher_of(tables, f"{first['twin']}-uint8") == ""
    write_report(tables, output=tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "Distilled or not (2)" in page
    write_report(plain, output=tmp_path / "plain.html")
    for words in ("Did distillation pay?", "Distilled from"):
        assert words in page
        assert words not in (tmp_path / "plain.html").read_text()


def test_the_terminal_marks_distilled_models(plain):
    everyone = plain.trials.assign(distillation="student", teacher_id="somebody")
    assert ", distilled" in _printed(dataclasses.replace(plain, trials=everyone))
    assert ", distilled" not in _printed(plain)


def _printed(tables: SweepTables) -> str:
    file = io.StringIO()
    rich.console.Console(file=file, width=120).print(front_table(tables, instrument="flute"))
    return file.getvalue()
