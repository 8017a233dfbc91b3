from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import scipy.stats
import soundfile
from synthetic_sweep import sweep_tables

from tinytimbre.quality.visqol import visqol_mos
from tinytimbre.report.data import intervals_for, knee_for, plot_data
from tinytimbre.report.knee import knee
from tinytimbre.report.opinion import visqol_by_candidate
from tinytimbre.report.tables import AudioClip, SweepTables


@pytest.fixture(scope="module")
def sweep(tmp_path_factory) -> SweepTables:
    return sweep_tables(tmp_path_factory.mktemp("sounds"), instruments=("flute",), trials=12, takes=9, seconds=1.5)


def test_knee_of_a_hyperbola_is_where_calculus_puts_it():
    """The loss 1/u on u = 1 + log10(size), from 1 to 5: furthest from the chord where the slope is the chord's."""
    u = np.linspace(1, 5, 401)
    found = knee(10 ** (u - 1), 1 / u)
    # Chord slope (1/5 - 1) / 4 = -1/5, so 1/u^2 = 1/5.
    assert u[found] == pytest.approx(np.sqrt(5), abs=0.01)


def test_knee_is_furthest_from_the_chord():
    """Another way to the same point: distances to the line, as a picture would have them, both axes scaled alike."""
    sizes, losses = np.array([2e3, 3e3, 7e3, 2e4, 9e4]), np.array([8.0, 5.5, 4.0, 3.6, 3.5])
    x, y = np.log(sizes), losses
    points = np.stack([(x - x[0]) / np.ptp(x), (y - y[-1]) / np.ptp(y)], axis=1)
    chord = points[-1] - points[0]
    away = np.abs(chord[0] * (points - points[0])[:, 1] - chord[1] * (points - points[0])[:, 0])
    assert knee(sizes, losses) == np.argmax(away) == 2


@pytest.mark.parametrize(
    ("sizes", "losses"),
    [([], []), ([10, 20], [2, 1]), ([10, 20, 40], [3, 2, 1]), ([10, 20, 40], [3, 2.9, 1]), ([5, 5, 5], [3, 2, 1])],
    ids=["empty", "two points", "straight", "bulging", "one size"],
)
def test_a_front_without_a_knee_has_none(sizes, losses):
    assert knee(sizes, losses) is None


def test_the_knee_lies_on_the_front_and_in_the_page(sweep):
    data = plot_data(sweep, instrument="flute")
    for metric in data["metrics"]:
        assert metric["knee"] is None or metric["knee"] in metric["front"]
    assert knee_for("log_spectral_db", sweep.candidates) == data["metrics"][0]["knee"]


def test_intervals_hold_the_difference_and_agree_with_student(sweep):
    verdict = sweep.verdicts["flute"]
    wide = sweep.clips[sweep.clips["split"] == "test"].pivot(
        index="candidate_id", columns="take_id", values="log_spectral_db"
    )
    others = [name for name in wide.index if name != verdict.reference]
    found = intervals_for("log_spectral_db", sweep.clips, verdict=verdict, shown=[*others, str(verdict.reference)])
    assert set(found) == set(others)
    for name, (low, high) in found.items():
        difference = (wide.loc[name] - wide.loc[verdict.reference]).to_numpy()
        student = scipy.stats.t.interval(0.9, len(difference) - 1, difference.mean(), scipy.stats.sem(difference))
        # The widest of three ends, never inside Student's; of few takes, the correction for skewness goes furthest.
        assert low <= student[0] + 1e-9
        assert high >= student[1] - 1e-9
        assert high - low < 3 * (student[1] - student[0])
    metric = plot_data(sweep, instrument="flute")["metrics"][0]
    assert set(metric["intervals"]) <= set(others)
    assert metric["intervals"]


def test_two_takes_have_no_interval(sweep):
    few = sweep.clips[sweep.clips["take_id"].isin(["flute-test-0", "flute-test-1"])]
    assert (
        intervals_for("loudness_db", few, verdict=sweep.verdicts["flute"], shown=sweep.candidates["candidate_id"]) == {}
    )


def test_opinion_is_the_mean_over_the_recordings(sweep):
    found = visqol_by_candidate(sweep.audio)
    clips = [clip for clip in sweep.audio if clip.role in ("original", "smaller")]
    expected = []
    for recording in {clip.recording_id for clip in clips}:
        own = {clip.role: soundfile.read(clip.path)[0] for clip in clips if clip.recording_id == recording}
        expected.append(visqol_mos(own["original"], own["smaller"], sample_rate_hz=16_000))
    smaller = next(clip.candidate_id for clip in clips if clip.candidate_id)
    assert found[smaller] == pytest.approx(np.mean(expected), abs=1e-6)
    # Five partials of sixteen: worse than twelve and more.
    assert found[smaller] == min(found.values())


def test_opinion_needs_an_original_and_a_second_of_sound(sweep, tmp_path):
    assert visqol_by_candidate([clip for clip in sweep.audio if clip.role != "original"]) == {}
    soundfile.write(tmp_path / "short.wav", np.full(1600, 0.1), 16_000)
    short = [dataclasses.replace(clip, path=tmp_path / "short.wav") for clip in sweep.audio]
    assert visqol_by_candidate(short) == {}
    assert isinstance(sweep.audio[0], AudioClip)
