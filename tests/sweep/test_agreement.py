"""Rank correlation of rungs, against pandas, a permutation of known correlation, and simulation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tinytimbre.sweep.agreement import interval, rank_agreements, spearman, within_strata

STRATA = {f"t{i}": ("flute", i % 2) for i in range(8)}


def losses(early: list[float], final: list[float]) -> dict[str, dict[int, float]]:
    return {f"t{i}": {0: a, 1: b} for i, (a, b) in enumerate(zip(early, final, strict=True))}


def test_it_is_spearmans_correlation() -> None:
    generator = np.random.default_rng(0)
    first = generator.normal(size=40)
    second = first + generator.normal(size=40)
    expected = pd.Series(first).rank().corr(pd.Series(second).rank())
    assert spearman(first, second) == pytest.approx(expected)


def test_the_interval_covers_the_correlation_of_the_population() -> None:
    """Of a bivariate normal with Pearson's r, Spearman's is 6 / pi * arcsin(r / 2) (Kruskal 1958)."""
    generator = np.random.default_rng(0)
    runs, n, r = 1000, 20, 0.7
    truth = 6 / np.pi * np.arcsin(r / 2)
    missed = 0
    for _ in range(runs):
        first = generator.normal(size=n)
        value = spearman(first, r * first + np.sqrt(1 - r * r) * generator.normal(size=n))
        assert value is not None
        low, high = interval(value, n=n)
        missed += not low <= truth <= high
    # 5 % are meant; 7.5 % is 3.6 standard errors of a count of 1000 above that.
    assert missed / runs < 0.075


def test_ranks_inside_strata_do_not_profit_from_differences_between_them() -> None:
    early = np.array([1.0, 2.0, 3.0, 11.0, 12.0, 13.0])
    final = np.array([3.0, 2.0, 1.0, 13.0, 12.0, 11.0])
    strata = np.array([0, 0, 0, 1, 1, 1])
    overall = spearman(early, final)
    assert overall is not None
    assert overall > 0
    assert within_strata(early, final, strata=strata) == pytest.approx(-1)


def test_strata_of_one_do_not_count() -> None:
    values = np.arange(6.0)
    assert within_strata(values, values, strata=np.array([0, 0, 0, 0, 0, 1])) == pytest.approx(1)
    assert within_strata(values, values, strata=np.arange(6)) is None


def test_a_good_rung_is_praised_and_a_poor_one_told_what_to_do() -> None:
    (good,) = rank_agreements(losses(list(range(8)), list(range(8))), strata=STRATA, last_rung=1)
    assert (good.n, good.correlation, good.within, good.is_poor) == (8, 1.0, 1.0, False)
    assert "budget" not in good.words()
    (poor,) = rank_agreements(losses(list(range(8)), [3, 1, 0, 2, 7, 4, 6, 5]), strata=STRATA, last_rung=1)
    assert poor.is_poor
    assert "below 0.7" in poor.words().lower()
    assert "budget.rung_steps" in poor.words()
    assert "budget.eta" in poor.words()


def test_too_few_trials_and_equal_losses_give_no_number() -> None:
    few = {f"t{i}": {0: 1.0 * i, **({1: 1.0 * i} if i < 4 else {})} for i in range(8)}
    (found,) = rank_agreements(few, strata=STRATA, last_rung=1)
    assert (found.n, found.correlation, found.is_poor) == (4, None, False)
    assert "too few trials (4)" in found.words()
    (alike,) = rank_agreements(losses([1.0] * 8, list(range(8))), strata=STRATA, last_rung=1)
    assert alike.correlation is None
    assert "alike" in alike.words()


def test_instruments_are_kept_apart_and_every_earlier_rung_is_compared() -> None:
    strata = {f"t{i}": ("flute" if i < 5 else "violin", 0) for i in range(11)}
    all_losses = {f"t{i}": {0: float(-i), 1: float(i), 2: float(i)} for i in range(11)}
    found = rank_agreements(all_losses, strata=strata, last_rung=2)
    assert [(one.instrument, one.rung, one.n) for one in found] == [
        ("flute", 0, 5),
        ("flute", 1, 5),
        ("violin", 0, 6),
        ("violin", 1, 6),
    ]
    assert [one.correlation for one in found] == pytest.approx([-1, 1, -1, 1])


def test_one_rung_has_nothing_to_compare() -> None:
    assert rank_agreements({"t0": {0: 1.0}}, strata=STRATA, last_rung=0) == []
