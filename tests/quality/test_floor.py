"""The seed-to-seed floor, and what the gates make of it, of collapse, of the baseline and of too little power."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.spatial
import scipy.stats

from tinytimbre.config import GateConfig
from tinytimbre.quality import bounds
from tinytimbre.quality.baseline import BASELINE
from tinytimbre.quality.floor import seed_floor
from tinytimbre.quality.gates import judge
from tinytimbre.quality.simulation import simulate_clips
from tinytimbre.quality.take_values import METRICS, TakeValues
from tinytimbre.quality.verdict import Candidate, Verdict
from tinytimbre.quality.wording import floor_words

GATES = GateConfig(bootstrap_draws=400)


def candidate(name: str, size: int, *, family: str = "", quantisation: str = "", **sanity: float) -> Candidate:
    return Candidate(
        candidate_id=name,
        instrument="flute",
        bytes_brotli=size,
        family=family,
        quantisation=quantisation,
        sanity=sanity,
    )


def stage(verdict: Verdict, name: str) -> str:
    return next(outcome.stage for outcome in verdict.outcomes if outcome.candidate_id == name)


def seeds(spread_db: float, *, count: int = 3) -> tuple[list[Candidate], pd.DataFrame]:
    """A best model, a small one, and the small one's other seeds, whose log spectral distances differ."""
    names = {f"small-{seed}": spread_db * seed for seed in range(count)}
    worse = {"big": {"log_spectral_db": -0.05}, **{name: {"log_spectral_db": off} for name, off in names.items()}}
    own = [candidate("big", 90_000), *(candidate(name, 9_000 + i, family="s") for i, name in enumerate(names))]
    return own, simulate_clips(worse, takes=20, seed=3, spread=0.05)


def seeds_of_two(table: pd.DataFrame) -> dict[str, float]:
    """Floors of two families of as many seeds each, named a0, a1, …, b0, …."""
    own = [candidate(name, 1, family=name[0]) for name in table.index]
    floor = seed_floor(own, dict.fromkeys(METRICS, table))
    assert (floor.n_families, floor.n_models) == (2, len(table))
    return floor.floors


def test_floor_is_the_standard_deviation_of_normal_differences() -> None:
    generator = np.random.default_rng(0)
    names = [f"{family}{seed}" for family in "ab" for seed in range(60)]
    table = pd.DataFrame(generator.normal(5, 1, (120, 4)), index=names)
    # Means over four takes scatter by a half, differences of two of them by the root of two times that. The median of
    # 2 x 1,770 pairs of 120 seeds is as good as some hundred differences: off by 8 % at most one time in six.
    assert seeds_of_two(table)["loudness_db"] == pytest.approx(np.sqrt(2) * 0.5, rel=0.2)


def test_floor_is_what_scipy_makes_of_the_pairs() -> None:
    table = pd.DataFrame(np.random.default_rng(1).normal(5, 1, (6, 5)), index=["a0", "a1", "a2", "b0", "b1", "b2"])
    means = table.mean(axis=1).to_numpy()
    differences = np.concatenate([scipy.spatial.distance.pdist(own[:, None]) for own in (means[:3], means[3:])])
    both = np.concatenate([differences, -differences])
    expected = scipy.stats.median_abs_deviation(both, scale="normal")
    assert seeds_of_two(table)["f0_cents"] == pytest.approx(expected)


def test_one_training_that_went_wrong_does_not_make_the_floor() -> None:
    table = pd.DataFrame(np.random.default_rng(2).normal(5, 0.1, (6, 5)), index=["a0", "a1", "a2", "b0", "b1", "b2"])
    sound = seeds_of_two(table)["f0_accuracy_points"]
    table.loc["b2"] += 30.0
    assert sound < seeds_of_two(table)["f0_accuracy_points"] < 5 * sound


def test_two_seeds_or_another_quantisation_are_no_floor() -> None:
    table = pd.DataFrame(np.eye(3), index=["a", "b", "c"])
    pair = [candidate("a", 1, family="x"), candidate("b", 1, family="x"), candidate("c", 1, family="y")]
    assert not seed_floor(pair, dict.fromkeys(METRICS, table)).n_families
    mixed = [candidate(name, 1, family="x", quantisation=kind) for name, kind in zip("abc", "pqr", strict=True)]
    assert not seed_floor(mixed, dict.fromkeys(METRICS, table)).n_families
    assert "not measured" in floor_words(seed_floor(mixed, dict.fromkeys(METRICS, table)))


def test_a_margin_below_the_floor_is_undecidable() -> None:
    own, clips = seeds(0.5)
    verdict = judge(own, clips, gates=GATES, seed=0)
    assert verdict.floor.floors["log_spectral_db"] == pytest.approx(np.sqrt(2) * 0.5, abs=0.1)
    assert verdict.chosen == "big"
    assert not verdict.shown
    assert stage(verdict, "small-0") == "undecidable"
    (gate,) = [g for g in verdict.results("small-0", split="validation") if g.gate == "log_spectral_db"]
    assert gate.status == "not shown"
    assert "margin 0.35 dB lies below the seed-to-seed floor 0.7" in gate.reason
    assert "not shown" in verdict.summary
    assert "Undecidable" in verdict.summary
    assert "Two trainings of one configuration differ" in floor_words(verdict.floor)


def test_a_margin_above_the_floor_decides() -> None:
    own, clips = seeds(0.02)
    verdict = judge(own, clips, gates=GATES, seed=0)
    assert 0 < verdict.floor.floors["log_spectral_db"] < GATES.log_spectral_db
    assert verdict.shown


def test_the_floor_of_models_that_are_out_of_the_question_decides_nothing() -> None:
    own, clips = seeds(0.02)
    bad = {f"bad-{seed}": {"log_spectral_db": 2.0 + seed} for seed in range(3)}
    more = [candidate(name, 3_000, family="b") for name in bad]
    both = pd.concat([clips, simulate_clips(bad, takes=20, seed=3, spread=0.05)])
    verdict = judge([*own, *more], both, gates=GATES, seed=0)
    # With the bad ones, whose seeds are a whole dB apart, it would be above the margin.
    everyone = seed_floor([*own, *more], TakeValues(both).tables("validation"))
    assert everyone.floors["log_spectral_db"] > GATES.log_spectral_db
    assert verdict.floor == judge(own, clips, gates=GATES, seed=0).floor
    assert verdict.shown
    assert {stage(verdict, name) for name in bad} == {"failed on validation"}


def test_what_is_beyond_margin_and_floor_has_failed() -> None:
    own, clips = seeds(0.5)
    verdict = judge(own, clips, gates=GATES, seed=0)
    assert (stage(verdict, "small-0"), stage(verdict, "small-2")) == ("undecidable", "failed on validation")


def test_another_quantisation_of_the_same_training_knows_no_floor() -> None:
    own, clips = seeds(0.5)
    clips = clips.replace({"candidate_id": {"big": "big-float32"}})
    copy = clips[clips["candidate_id"] == "big-float32"].assign(candidate_id="big-uint8")
    copies = [
        candidate(f"big-{kind}", size, quantisation=kind) for kind, size in (("float32", 90_000), ("uint8", 40_000))
    ]
    verdict = judge([*own[1:], *copies], pd.concat([clips, copy]), gates=GATES, seed=0)
    # Equal to the last digit: of equals the smaller is the reference, and it may be chosen whatever the floor.
    assert verdict.chosen == verdict.reference == "big-uint8"
    paired = [g for g in verdict.results("big-float32", split="validation") if g.gate == "log_spectral_db"]
    assert not paired[0].undecidable


def test_a_model_that_collapses_is_never_chosen_nor_the_reference() -> None:
    clips = simulate_clips({"best": {"log_spectral_db": -1.0}, "good": {}, "tiny": {}}, takes=20, seed=1, spread=0.3)
    own = [
        candidate("best", 90_000, octave_f0_missed_points=80.0, octave_level_db=3.0),
        candidate("good", 50_000, octave_f0_missed_points=1.0, octave_level_db=3.0, level_step_db=2.0),
        candidate("tiny", 9_000, octave_level_db=45.0),
    ]
    verdict = judge(own, clips, gates=GATES, seed=0)
    assert verdict.chosen == verdict.reference == "good"
    assert stage(verdict, "best") == stage(verdict, "tiny") == "collapsed"
    assert "stray of the level, played an octave up or down 45.00 dB > 20" in verdict.reasons[0]


def test_nothing_is_chosen_where_all_collapse() -> None:
    clips = simulate_clips({"best": {}, "tiny": {}}, takes=9, seed=1)
    own = [candidate(name, size, level_step_db=30.0) for name, size in (("best", 9), ("tiny", 3))]
    verdict = judge(own, clips, gates=GATES, seed=0)
    assert verdict.chosen is None
    assert "collapses" in verdict.summary


@pytest.mark.parametrize(("ahead_db", "chosen"), [(0.5, "big"), (-0.5, None)])
def test_models_must_be_nearer_than_the_filtered_sawtooth(ahead_db: float, chosen: str | None) -> None:
    clips = simulate_clips({"big": {}, BASELINE: {"log_spectral_db": ahead_db}}, takes=12, seed=2, spread=0.2)
    verdict = judge([candidate("big", 9_000)], clips, gates=GATES, seed=0)
    assert verdict.chosen == chosen
    assert [outcome.candidate_id for outcome in verdict.outcomes] == ["big"]
    if chosen is None:
        assert "log spectral distance against a filtered sawtooth +0." in verdict.summary


def test_power_is_stated_where_nothing_smaller_is_shown() -> None:
    clips = simulate_clips({"big": {"log_spectral_db": -0.25}, "tiny": {}}, takes=4, seed=5)
    verdict = judge([candidate("big", 9), candidate("tiny", 3)], clips, gates=GATES, seed=0)
    weak = [g for g in verdict.results("tiny") if g.status == "not shown"]
    assert weak
    assert all(g.smallest_margin and g.smallest_margin > 0 for g in weak)
    assert "The smallest margin that these takes could show in" in verdict.summary


@pytest.mark.parametrize("takes", [4, 12, 48])
def test_the_smallest_margin_is_shown_in_four_of_five_samples(takes: int) -> None:
    """Checked by doing it: samples of an equal model against the margin that was said to need just this power."""
    generator = np.random.default_rng(takes)
    spread = 0.4
    known = np.resize([1.0, -1.0], takes)
    margin = bounds.smallest_margin(spread * known / np.std(known, ddof=1), confidence=0.95)
    runs = 1500
    shown = sum(
        bounds.upper_bound(generator.normal(0, spread, takes), confidence=0.95, draws=400, seed=0) <= margin
        for _ in range(runs)
    )
    # Both shares are counted: 1,000 and 1,500 draws of 0.8 are off by 0.013 and 0.010, here at most three times both.
    assert 0.75 <= shown / runs <= 0.85


def test_too_few_takes_have_no_smallest_margin() -> None:
    assert bounds.smallest_margin(np.array([0.1, 0.2]), confidence=0.95) is None
