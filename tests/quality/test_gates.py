"""The decision rules one by one, and the gate's error rates over simulated sweeps."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from tinytimbre.config import GateConfig
from tinytimbre.errors import TinyTimbreError
from tinytimbre.quality import bounds
from tinytimbre.quality.gates import METRICS, Candidate, judge
from tinytimbre.quality.simulation import count_accepted, scenarios
from tinytimbre.quality.simulation import simulate_clips as clips
from tinytimbre.quality.verdict import Verdict

GATES = GateConfig()
SIZES = {"big": 90_000, "mid": 30_000, "small": 9_000, "tiny": 3_000}
BEST = {"big": {"log_spectral_db": -0.1}}
FEW_DRAWS = GateConfig(bootstrap_draws=400)


def candidates(sizes: Mapping[str, int], *, instrument: str = "flute") -> list[Candidate]:
    return [Candidate(candidate_id=name, instrument=instrument, bytes_brotli=size) for name, size in sizes.items()]


def _judged(worse_by, *, takes=20, seed=1, gates=GATES, sizes=SIZES, **how) -> Verdict:
    table = clips({name: worse_by.get(name, {}) for name in sizes}, takes=takes, seed=seed, **how)
    return judge(candidates(sizes), table, gates=gates, seed=0)


def _stages(verdict: Verdict) -> dict[str, str]:
    return {outcome.candidate_id: outcome.stage for outcome in verdict.outcomes}


def test_smallest_good_one_is_chosen_and_smaller_bad_one_explained():
    worse = {**BEST, "mid": {"log_spectral_db": -0.02}, "tiny": {"log_spectral_db": 2.0, "loudness_db": 1.0}}
    verdict = _judged(worse, spread=0.3)
    assert verdict.chosen == "small"
    assert verdict.reference == "big"
    assert verdict.shown
    assert _stages(verdict)["tiny"] == "failed on validation"
    (reason,) = verdict.reasons
    assert "tiny (3.0 KB)" in reason
    assert "log spectral distance +2." in reason
    assert "loudness error +1." in reason
    assert "margin 0.35" in reason
    assert "small (9.0 KB)" in verdict.summary
    assert verdict.n_takes == verdict.n_validation_takes == 20


def test_same_input_same_verdict():
    assert _judged(BEST) == _judged(BEST)


def test_verdict_survives_json():
    verdict = _judged(BEST)
    assert Verdict.model_validate_json(verdict.model_dump_json()) == verdict
    assert verdict.results("big")


@pytest.mark.parametrize("metric", METRICS)
def test_every_gate_excludes_on_its_own(metric):
    worse = {**BEST, "tiny": {metric: 10 * getattr(GATES, metric)}}
    verdict = _judged(worse, sizes={"big": 9, "tiny": 3})
    assert verdict.chosen == "big"
    assert not verdict.shown
    failed = {result.gate for result in verdict.results("tiny", split="validation") if not result.passed}
    assert metric in failed


def test_better_than_the_reference_passes():
    better = {metric: -0.5 * getattr(GATES, metric) for metric in METRICS if metric != "log_spectral_db"}
    verdict = _judged({**BEST, "tiny": better}, sizes={"big": 9, "tiny": 3})
    assert (verdict.reference, verdict.chosen) == ("big", "tiny")


@pytest.mark.parametrize("metric", [metric for metric in METRICS if metric != "log_spectral_db"])
def test_who_bought_its_distance_elsewhere_is_no_yardstick(metric):
    bought = {"log_spectral_db": -0.3, metric: 3 * getattr(GATES, metric)}
    verdict = _judged({**BEST, "tiny": bought}, sizes={"big": 9, "tiny": 3}, spread=0.3)
    assert verdict.reference == "big"
    assert verdict.chosen == "big"


def test_who_is_better_elsewhere_but_too_far_off_is_no_yardstick_either():
    worse = {
        "big": {"loudness_db": 5 * GATES.loudness_db},
        "tiny": {"log_spectral_db": 2 * GATES.log_spectral_db},
    }
    assert _judged(worse, sizes={"big": 9, "tiny": 3}, spread=0.3).reference == "big"


def test_a_model_without_any_pitch_is_dominated():
    table = clips({"big": {"log_spectral_db": -0.2}, "tiny": {}}, takes=10, seed=1, spread=0.3)
    table.loc[table["candidate_id"] == "big", ["f0_cents", "f0_accuracy_points"]] = np.nan
    assert judge(candidates({"big": 9, "tiny": 3}), table, gates=GATES, seed=0).reference == "tiny"


def test_two_takes_never_show_anything():
    verdict = _judged({**BEST}, takes=2, spread=0.01)
    assert verdict.chosen == verdict.reference == "big"
    assert not verdict.shown
    assert "not shown with 2 test takes (at least 3 are needed)" in verdict.summary
    assert "not shown on test" in set(_stages(verdict).values())


def test_few_noisy_takes_say_how_many_are_needed():
    verdict = _judged({"big": {"log_spectral_db": -0.25}}, takes=4, sizes={"big": 9, "tiny": 3}, seed=5)
    open_gates = [result for result in verdict.results("tiny") if result.status == "not shown"]
    assert verdict.chosen == "big"
    assert open_gates
    assert all(result.bound > result.margin >= result.mean for result in open_gates)
    assert all(result.takes_needed > result.n_takes for result in open_gates)
    assert "not shown with 4 test takes" in verdict.summary


def test_a_long_tail_never_needs_fewer_takes_than_did_not_suffice():
    values = np.array([0.0] * 11 + [1.9])
    bound = bounds.upper_bound(values, confidence=0.95, draws=400, seed=0)
    margin = 0.9 * bound
    assert bounds.takes_needed(values, margin=margin, confidence=0.95, bound=bound) > len(values)


@pytest.mark.parametrize(("mean", "known"), [(0.1, True), (0.29, False), (0.31, False)])
def test_no_number_of_takes_is_named_that_nobody_records(mean: float, known: bool) -> None:
    values = mean + np.resize([0.5, -0.5], 12)
    assert (bounds.takes_needed(values, margin=0.3, confidence=0.95, bound=mean + 0.3) is not None) == known


def test_best_model_that_is_bad_in_itself_is_not_chosen():
    table = clips({"big": BEST["big"], "tiny": {}}, takes=9, seed=1)
    table["loudness_db"] += 9
    verdict = judge(candidates({"big": 9, "tiny": 3}), table, gates=GATES, seed=0)
    assert verdict.chosen is None
    assert verdict.nearest in {"big", "tiny"}
    assert "No model qualifies" in verdict.summary
    assert "own loudness error 10." in verdict.summary
    assert f"The nearest is {verdict.nearest}." in verdict.summary


def test_worst_decile_guard_sees_one_ruined_take():
    table = clips({"big": {"log_spectral_db": -0.4}, "tiny": {"log_spectral_db": -0.35}}, takes=40, seed=1, spread=0.1)
    ruined = (table["candidate_id"] == "tiny") & table["take_id"].isin([f"test{take}" for take in range(4)])
    table.loc[ruined, "log_spectral_db"] += 1.1
    verdict = judge(candidates({"big": 9, "tiny": 3}), table, gates=GATES, seed=0)
    results = {result.gate: result for result in verdict.results("tiny")}
    assert results["log_spectral_db"].passed
    assert not results["worst_decile_log_spectral_db"].passed
    assert verdict.chosen == "big"


def test_sequence_stops_at_the_first_that_does_not_pass():
    worse = {
        "big": {"log_spectral_db": -0.15},
        "mid": {"log_spectral_db": -0.05},
        "small": {"log_spectral_db": 0.0},
        "tiny": {"log_spectral_db": 0.05},
    }
    table = clips(worse, takes=20, seed=1, spread=0.1)
    spoiled = (table["candidate_id"] == "small") & (table["split"] == "test")
    table.loc[spoiled, "loudness_db"] += 1
    verdict = judge(candidates(SIZES), table, gates=GATES, seed=0)
    assert verdict.test_order == ("big", "mid", "small", "tiny")
    assert verdict.chosen == "mid"
    assert _stages(verdict)["small"] == "failed on test"
    assert _stages(verdict)["tiny"] == "not tested"


def test_order_does_not_depend_on_test():
    table = clips({name: {} for name in SIZES}, takes=9, seed=1)
    other = table.copy()
    on_test = other["split"] == "test"
    other.loc[on_test, "log_spectral_db"] = other.loc[on_test, "log_spectral_db"].to_numpy()[::-1]
    orders = {judge(candidates(SIZES), t, gates=GATES, seed=0).test_order for t in (table, other)}
    assert len(orders) == 1


def test_larger_and_no_better_is_left_out():
    worse = {"mid": {"log_spectral_db": -0.2}}
    verdict = _judged(worse, spread=0.1)
    assert _stages(verdict)["big"] == "outdone"


def test_near_duplicates_of_one_take_count_once():
    table = clips({"big": BEST["big"], "tiny": {}}, takes=3, seed=1)
    copies = [table.assign(recording_id=table["recording_id"] + f"copy{copy}") for copy in range(20)]
    once = judge(candidates({"big": 9, "tiny": 3}), table, gates=GATES, seed=0)
    often = judge(candidates({"big": 9, "tiny": 3}), pd.concat([table, *copies]), gates=GATES, seed=0)
    assert once.n_takes == often.n_takes == 3
    for ours, theirs in zip(once.gates, often.gates, strict=True):
        assert ours.bound == pytest.approx(theirs.bound) if ours.bound is not None else theirs.bound is None


def test_takes_without_pitch_are_left_out_of_the_pitch_gates_only():
    table = clips({"big": BEST["big"], "tiny": {}}, takes=9, seed=1, spread=0.1)
    table.loc[table["take_id"].isin(["test0", "test1"]), ["f0_accuracy_points", "f0_cents"]] = np.nan
    verdict = judge(candidates({"big": 9, "tiny": 3}), table, gates=GATES, seed=0)
    counts = {result.gate: result.n_takes for result in verdict.results("tiny")}
    assert counts["f0_cents"] == counts["f0_accuracy_points"] == 7
    assert counts["log_spectral_db"] == 9
    assert verdict.chosen == "tiny"


def test_a_value_only_the_reference_has_is_no_pass():
    table = clips({"big": BEST["big"], "tiny": {}}, takes=9, seed=1, spread=0.1)
    table.loc[(table["candidate_id"] == "tiny") & (table["take_id"] == "test0"), "f0_cents"] = np.nan
    verdict = judge(candidates({"big": 9, "tiny": 3}), table, gates=GATES, seed=0)
    assert verdict.chosen == "big"
    assert "no value on 1 take that the reference has" in verdict.reasons[0]


def test_candidate_without_clips_is_said_to_be_not_evaluated():
    table = clips({"big": {}, "mid": {}}, takes=9, seed=1)
    verdict = judge(candidates(SIZES), table, gates=GATES, seed=0)
    assert _stages(verdict)["tiny"] == "not evaluated"


def test_nothing_evaluated():
    verdict = judge(candidates(SIZES), clips({"other": {}}, takes=3, seed=0), gates=GATES, seed=0)
    assert verdict.chosen is None
    assert verdict.reference is None
    assert "no candidate was evaluated" in verdict.summary


def test_why_nothing_was_evaluated_is_said():
    failed = [one.model_copy(update={"failure": "a rule\n  got: NaN"}) for one in candidates(SIZES)]
    verdict = judge(failed, clips({"other": {}}, takes=3, seed=0), gates=GATES, seed=0)
    assert f"a rule; got: NaN ({len(SIZES)} times)" in verdict.summary


def test_every_number_of_a_verdict_has_its_unit():
    worse = {"big": {}, "tiny": {"loudness_db": 0.2, "log_spectral_db": 0.1}}
    verdict = judge(candidates({"big": 9, "tiny": 3}), clips(worse, takes=6, seed=0), gates=GATES, seed=0)
    reasons = [result.reason for result in verdict.gates if result.gate.endswith("loudness_db")]
    assert reasons
    for reason in reasons:
        numbers = re.findall(r"[+-]?\d+\.?\d*(?! %)(?! takes)(?= |$|,)", reason.partition(" (not shown")[0])
        assert len(numbers) == reason.count(" dB"), reason


def test_an_octave_slip_counts_as_fifty_cents():
    table = clips({"big": BEST["big"], "tiny": {}}, takes=100, seed=1, spread=0.1)
    slipped = (table["candidate_id"] == "tiny") & (table["take_id"] == "test0")
    table.loc[slipped, "f0_cents"] = 1200.0
    verdict = judge(candidates({"big": 9, "tiny": 3}), table, gates=GATES, seed=0)
    (result,) = [result for result in verdict.results("tiny") if result.gate == "f0_cents"]
    assert result.mean < 0.5


def test_missing_column_and_mixed_instruments_are_named():
    table = clips({"big": {}}, takes=3, seed=0)
    with pytest.raises(TinyTimbreError, match="f0_cents"):
        judge(candidates({"big": 1}), table.drop(columns="f0_cents"), gates=GATES, seed=0)
    both = [*candidates({"big": 1}), *candidates({"small": 1}, instrument="violin")]
    with pytest.raises(TinyTimbreError, match="exactly one instrument"):
        judge(both, table, gates=GATES, seed=0)


def test_bound_agrees_with_scipy_bootstrap():
    values = np.random.default_rng(4).normal(0.1, 0.3, 60)
    found = scipy.stats.bootstrap(
        (values,), np.mean, confidence_level=0.9, method="percentile", n_resamples=9999, random_state=1
    )
    # Monte-Carlo error of a 5 % quantile from 4,000 draws is about 0.03 standard errors (0.3 / sqrt(60) each);
    # Student's t adds 2 % of 1.65 standard errors.
    bound = bounds.upper_bound(values, confidence=0.95, draws=4000, seed=0)
    assert bound == pytest.approx(found.confidence_interval.high, abs=0.15 * 0.3 / np.sqrt(60))


@pytest.mark.parametrize("takes", [3, 5, 10, 30])
@pytest.mark.parametrize("skewed", [False, True])
def test_bound_covers_the_mean(takes, skewed):
    generator = np.random.default_rng(takes)
    runs = 2000
    draws = generator.exponential(1, (runs, takes)) - 1 if skewed else generator.standard_normal((runs, takes))
    missed = sum(bounds.upper_bound(row, confidence=0.95, draws=400, seed=0) < 0 for row in draws)
    # A long tail towards "worse" is the hard case for any bound on a mean: with few takes it misses more often than it
    # says (Student's t 12 to 17 %, with the correction 7 to 12), which is why the worst-decile guard stands beside it.
    allowed = (0.12 if takes == 3 else 0.1) if skewed else 0.05
    assert missed <= scipy.stats.binom.ppf(0.999, runs, allowed)


def test_the_corrected_quantile_undoes_hall_s_transformation():
    """g(T) = T + skewness / sqrt(n) * (T^2 / 3 + 1 / 6) + skewness^2 T^3 / (27 n) takes the bound's T to Student's."""
    values = np.random.default_rng(1).exponential(1, 9)
    skewness, n_takes = scipy.stats.skew(values, bias=False), len(values)
    bound = bounds.upper_bound(values, confidence=0.95, draws=10, seed=0)
    statistic = (values.mean() - bound) / (values.std(ddof=1) / np.sqrt(n_takes))
    transformed = (
        statistic
        + skewness / np.sqrt(n_takes) * (statistic**2 / 3 + 1 / 6)
        + skewness**2 * statistic**3 / (27 * n_takes)
    )
    assert transformed == pytest.approx(-scipy.stats.t.ppf(0.95, n_takes - 1), rel=1e-9)


def test_a_take_on_which_the_reference_fails_does_not_stand_in_the_way():
    """All twelve takes are equal or better, one by far; that must not take the bound beyond the margin, 1."""
    noise = np.random.default_rng(0).normal(0, 0.1, 12)
    lucky = np.where(np.arange(12) == 5, -30.0, noise)
    bound = functools.partial(bounds.upper_bound, confidence=0.95, draws=400, seed=0)
    assert bound(lucky) > 1
    assert bound(bounds.without_luck(lucky, margin=1.0)) < 0.5
    # What is worse stays as it is, so nothing unacceptable gains by it.
    np.testing.assert_array_equal(bounds.without_luck(-lucky, margin=1.0), -lucky)


SWEEPS = 1_000
SCENARIOS = {scenario.name: scenario for scenario in scenarios(GATES)}


@pytest.mark.parametrize("name", ["on the margin", "just outside the margin"])
def test_unacceptable_models_are_accepted_in_at_most_five_percent_of_a_thousand_sweeps(name):
    """At 16 takes, where most equal models pass; `make bench-gates` does it for all numbers of takes."""
    count = count_accepted(SCENARIOS[name], takes=16, sweeps=SWEEPS, gates=FEW_DRAWS)
    assert count.sweeps == SWEEPS
    assert count.accepted <= scipy.stats.binom.ppf(0.999, SWEEPS, 0.05)


def test_three_chances_are_no_better_than_one():
    count = count_accepted(SCENARIOS["three on the margin"], takes=16, sweeps=300, gates=FEW_DRAWS)
    assert count.accepted <= scipy.stats.binom.ppf(0.999, 300, 0.05)


def test_a_model_that_is_mistaken_for_the_best_is_not_said_to_be_shown():
    """Three takes: now and then validation cannot tell the best. What is claimed is still right."""
    count = count_accepted(SCENARIOS["three on the margin"], takes=3, sweeps=200, gates=FEW_DRAWS)
    assert count.mistaken > 0
    assert count.accepted <= scipy.stats.binom.ppf(0.999, 200, 0.05)


def test_power_grows_with_takes_and_falls_with_the_difference():
    def power(name: str, takes: int) -> float:
        return count_accepted(SCENARIOS[name], takes=takes, sweeps=120, gates=FEW_DRAWS).power

    equal = [power("equal", takes) for takes in (4, 10, 24)]
    assert equal[0] < equal[1] < equal[2]
    assert equal[2] > 0.8
    assert power("half the margin worse", 10) < equal[1]
