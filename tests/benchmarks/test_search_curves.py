"""Curves of what a search has found, against counting by hand and against a sum over small boxes."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks.search_curves import (
    Event,
    curves,
    hypervolume,
    interval,
    orders,
    reached_at,
    size_limits,
)

SMALL, LARGE = Event("s", 1_000, 10.0, 4.0), Event("l", 10_000, 30.0, 2.0)
BROKEN = Event("b", 100, 5.0, None)
REFERENCE = (100_000, 6.0)


def test_losses_are_known_when_the_training_has_ended() -> None:
    found = curves(
        [[SMALL, LARGE]], seconds=np.array([0, 9.9, 10, 39.9, 40]), limits=[1_000, 10_000], reference=REFERENCE
    )
    assert found.losses[0].tolist() == [[math.inf, math.inf, 4, 4, 4], [math.inf, math.inf, 4, 4, 2]]
    # Two decades up to the reference, 6 - 4 high; then the large model lowers the second one by two more.
    assert found.hypervolume[0].tolist() == pytest.approx([0, 0, 4, 4, 6])


def test_what_failed_costs_time_and_finds_nothing() -> None:
    found = curves([[BROKEN, SMALL]], seconds=np.array([5.0, 10, 15]), limits=[1_000], reference=REFERENCE)
    assert found.losses[0, 0].tolist() == [math.inf, math.inf, 4]


def test_a_worse_model_changes_nothing() -> None:
    worse = Event("w", 2_000, 1.0, 5.0)
    plain, more = (
        curves([events], seconds=np.array([100.0]), limits=[10_000], reference=REFERENCE)
        for events in ([SMALL, LARGE], [SMALL, LARGE, worse])
    )
    assert more.hypervolume.tolist() == plain.hypervolume.tolist()
    assert more.losses.tolist() == plain.losses.tolist()


def test_hypervolume_is_the_area_counted_in_small_boxes() -> None:
    rng = np.random.default_rng(0)
    n_bytes, loss = 10 ** rng.uniform(3, 6, 30), rng.uniform(2, 7, 30)
    decades = np.linspace(2, 5.5, 200_001)[:-1]
    best = np.array([6.0] * len(decades))
    for size, value in zip(n_bytes, loss, strict=True):
        best[decades >= math.log10(size)] = np.minimum(best[decades >= math.log10(size)], value)
    boxes = (6.0 - best).sum() * (3.5 / 200_000)
    # Each of at most 30 steps of the front falls into one box of 1.75e-5 decades, at most 4 high.
    assert hypervolume(n_bytes, loss, reference=(round(10**5.5), 6.0)) == pytest.approx(boxes, abs=30 * 4 * 1.75e-5)


def test_models_beyond_the_reference_count_nothing() -> None:
    assert hypervolume(np.array([1e3, 1e7]), np.array([9.0, 1.0]), reference=REFERENCE) == 0
    assert hypervolume(np.array([]), np.array([]), reference=REFERENCE) == 0


def test_orders_keep_the_stages_apart() -> None:
    events = [Event(str(index), 1, 1.0, 1.0) for index in range(30)]
    found = orders([events[:20], events[20:]], count=5, seed=3)
    assert found == orders([events[:20], events[20:]], count=5, seed=3)
    assert len({tuple(event.trial_id for event in own) for own in found}) == 5
    for own in found:
        assert set(own[:20]) == set(events[:20])
        assert set(own) == set(events)


def test_intervals_bear_what_was_not_found() -> None:
    values = np.array([[1.0, math.inf]] * 15 + [[2.0, 3.0]] * 5)
    low, middle, high = interval(values)
    assert (low[0], middle[0], high[0]) == (1, 1, 2)
    assert (low[1], middle[1], high[1]) == (3, math.inf, math.inf)


def test_reaching_a_goal() -> None:
    seconds, values = np.array([0.0, 1, 2, 3]), np.array([0.0, 0.2, 0.5, 0.5])
    assert reached_at(seconds, values, goal=0.5) == 2
    assert reached_at(seconds, values, goal=0.6) is None


def test_size_limits_grow_with_the_strata() -> None:
    # A stratum is by parameters: its largest file may be larger than one of the next.
    assert size_limits([(0, 900), (0, 2_000), (2, 1_900), (1, 1_500), (3, 5_000)]) == [2_000, 5_000]
