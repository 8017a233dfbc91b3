from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
import soundfile
from synthetic_sweep import sweep_tables

from tinytimbre.errors import TinyTimbreError
from tinytimbre.report import tables as report_tables
from tinytimbre.report.tables import SweepTables, agreements, front, metric_means, roles


@pytest.fixture(scope="module")
def sweep(tmp_path_factory) -> SweepTables:
    return sweep_tables(tmp_path_factory.mktemp("sounds"), trials=12, takes=5, seconds=0.5)


def test_saved_tables_come_back(sweep, tmp_path):
    sweep.save(tmp_path)
    loaded = SweepTables.load(tmp_path)
    for name in report_tables.TABLES:
        pd.testing.assert_frame_equal(getattr(loaded, name), getattr(sweep, name), check_dtype=False)
    assert loaded.verdicts == sweep.verdicts
    assert [(c.instrument, c.recording_id, c.role, c.candidate_id) for c in loaded.audio] == [
        (c.instrument, c.recording_id, c.role, c.candidate_id) for c in sweep.audio
    ]
    ours, theirs = (soundfile.read(clips[0].path)[0] for clips in (sweep.audio, loaded.audio))
    np.testing.assert_array_equal(ours, theirs)  # 16 bit on both sides: FLAC is lossless


def test_saving_in_place_and_moving_the_folder_keep_the_sounds(sweep, tmp_path):
    sweep.save(tmp_path / "a")
    SweepTables.load(tmp_path / "a").save(tmp_path / "a")
    (tmp_path / "a").rename(tmp_path / "b")
    assert all(clip.path.is_file() for clip in SweepTables.load(tmp_path / "b").audio)


def test_missing_file_and_column_are_named(sweep, tmp_path):
    sweep.save(tmp_path)
    (tmp_path / "clips.parquet").unlink()
    with pytest.raises(TinyTimbreError, match=r"clips\.parquet is missing"):
        SweepTables.load(tmp_path)
    with pytest.raises(TinyTimbreError, match="train_loss"):
        dataclasses.replace(sweep, curves=sweep.curves.drop(columns="train_loss"))


def test_instruments_include_those_that_only_failed(sweep):
    lost = sweep.trials.iloc[:1].assign(instrument="harp", status="failed")
    assert "harp" in dataclasses.replace(sweep, trials=pd.concat([sweep.trials, lost])).instruments


def test_front_agrees_with_checking_every_pair(sweep):
    own = sweep.candidates[sweep.candidates["instrument"] == "flute"]
    points = own[["total_brotli", "log_spectral_db"]].to_numpy(float)
    beaten = [any((other <= point).all() and (other < point).any() for other in points) for point in points]
    assert set(front(own)["candidate_id"]) == set(own["candidate_id"][~np.array(beaten)])
    assert front(own)["total_brotli"].is_monotonic_increasing


def test_front_leaves_out_what_has_no_quality():
    table = pd.DataFrame(
        {"candidate_id": list("abc"), "total_brotli": [1, 2, 3], "log_spectral_db": [np.nan, 5.0, 6.0]}
    )
    assert list(front(table)["candidate_id"]) == ["b"]


def test_means_count_a_take_once():
    metrics = {name: [1.0, 3.0, 10.0] for name in report_tables.METRIC_COLUMNS}
    table = pd.DataFrame(
        {
            "candidate_id": "a",
            "instrument": "x",
            "split": "test",
            "recording_id": list("pqr"),
            "take_id": list("ppr"),
            **metrics,
        }
    )
    assert metric_means(table).loc["a", "log_spectral_db"] == 6.0
    assert metric_means(table, split="validation").empty


def test_means_of_nothing_are_numbers():
    """Every model of the sweep may have been impossible to measure."""
    columns = ["candidate_id", "take_id", "split", *report_tables.METRIC_COLUMNS]
    means = metric_means(pd.DataFrame([], columns=columns))
    assert {dtype.kind for dtype in means.dtypes} == {"f"}


def test_next_smaller_is_smaller_than_the_chosen(sweep):
    for verdict in sweep.verdicts.values():
        playing = roles(sweep.candidates, verdict)
        sizes = sweep.candidates.set_index("candidate_id")["total_brotli"]
        assert playing["best"] == verdict.reference
        assert sizes[playing["smaller"]] < sizes[playing["chosen"]] <= sizes[playing["best"]]


def test_agreements_compare_the_ends_of_rungs(sweep):
    done = sweep.trials[(sweep.trials["status"] == "done") & (sweep.trials["instrument"] == "flute")]
    (found,) = [one for one in agreements(sweep) if one.instrument == "flute" and one.rung == 0]
    curves = sweep.curves.set_index(["trial_id", "step"])["validation_loss"]
    early, final = (pd.Series([curves[trial, step] for trial in done["trial_id"]]) for step in (100, 900))
    assert found.n == len(done)
    assert found.correlation == pytest.approx(early.rank().corr(final.rank()))
