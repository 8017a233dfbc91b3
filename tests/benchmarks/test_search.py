"""Random search with real training beside a real sweep of a tiny instrument, and what is said about them."""

from __future__ import annotations

import json
import pathlib

import numpy as np
import pytest

from benchmarks.search import (
    Search,
    compared,
    halving_events,
    random_events,
    summary,
    table,
)
from benchmarks.search_chart import draw
from benchmarks.search_curves import Event
from tests.sweep.test_rung import config, run, take
from tinytimbre.errors import TinyTimbreError
from tinytimbre.features.examples import write_split
from tinytimbre.sweep import TrialStore, plan_sweep


@pytest.fixture(scope="module")
def search(tmp_path_factory: pytest.TempPathFactory) -> Search:
    features = tmp_path_factory.mktemp("features")
    write_split([take("a", f0_hz=220), take("b", f0_hz=330)], features_dir=features, split="train")
    write_split([take("c", f0_hz=262)], features_dir=features, split="validation")
    settings = config(steps=(4, 12))
    return Search(plan_sweep(settings, fingerprints={"tone": "f"}), settings, features, jobs=1)


@pytest.fixture(scope="module")
def swept(search: Search, tmp_path_factory: pytest.TempPathFactory) -> TrialStore:
    store = TrialStore(tmp_path_factory.mktemp("swept"))
    run(search.config, store, search.features, jobs=1)
    return store


def test_both_searches_end_and_are_compared(search: Search, swept: TrialStore, tmp_path: pathlib.Path) -> None:
    stages, step_secs = halving_events(search, store=swept)
    assert [len(stage) for stage in stages] == [4, 2]
    results = [result for own in swept.all_results().values() for result in own]
    assert sum(event.train_seconds for stage in stages for event in stage) == pytest.approx(
        sum(result.train_seconds for result in results)
    )
    store = TrialStore(tmp_path / "random")
    drawn = random_events(search, store=store, steps=4 * 4 + 2 * 8, step_secs=step_secs, seed=0, say=print)
    assert len(drawn) == 3  # 32 steps, 12 each
    for event in drawn:
        (result,) = store.results(event.trial_id)
        assert (result.step, result.validation_loss) == (12, event.validation_loss)
    comparison = compared(stages, drawn, instrument="tone", limits=[10**6], n_orders=3, seed=0)
    figures = summary(comparison, search.plan, stages=stages, drawn=drawn)
    losses = [event.validation_loss for stage in stages for event in stage if event.validation_loss is not None]
    assert figures["best_loss"][0]["halving"] == pytest.approx([min(losses)] * 3, abs=1e-4)  # told with 4 digits
    assert figures["halving_steps"] == 4 * 4 + 2 * 8
    assert "halving: 4 → 2 trials" in table(json.loads(json.dumps(figures)))
    draw(comparison, output=tmp_path / "chart.png")
    assert (tmp_path / "chart.png").read_bytes().startswith(b"\x89PNG")


def test_random_search_continues_and_draws_every_trial_once_at_most(search: Search, tmp_path: pathlib.Path) -> None:
    store, arguments = TrialStore(tmp_path), {"step_secs": 1.0, "seed": 1, "say": print}
    first = random_events(search, store=store, steps=1, **arguments)
    assert len(first) == 1
    written = {path: path.stat().st_mtime_ns for event in first for path in (tmp_path / event.trial_id).glob("*.npz")}
    drawn = random_events(search, store=store, steps=10**9, **arguments)
    assert drawn[:1] == first
    assert written == {path: path.stat().st_mtime_ns for path in written}
    assert sorted(event.trial_id for event in drawn) == sorted(trial.trial_id for trial in search.plan.trials)
    assert all(event.train_seconds == 12.0 and event.validation_loss is not None for event in drawn)


def test_a_sweep_that_is_not_finished_is_refused(search: Search, tmp_path: pathlib.Path) -> None:
    with pytest.raises(TinyTimbreError, match="0 of 4 trials of rung 0"):
        halving_events(search, store=TrialStore(tmp_path))


def test_a_search_that_found_nothing_is_told() -> None:
    failed = Event("a", 1_000, 1.0, None)
    with pytest.raises(TinyTimbreError, match="needs models"):
        compared([[failed]], [failed], instrument="x", limits=[1_000], n_orders=2, seed=0)


def test_equal_compute_ends_both_curves() -> None:
    stages = [[Event("a", 1_000, 1.0, 5.0), Event("b", 4_000, 1.0, 4.0)], [Event("b", 4_000, 4.0, 2.0)]]
    drawn = [Event("a", 1_000, 5.0, 3.0), Event("c", 2_000, 5.0, 1.0)]  # 10 s; only one fits into 6
    comparison = compared(stages, drawn, instrument="x", limits=[1_000, 4_000], n_orders=50, seed=0)
    assert comparison.halving.seconds[-1] == pytest.approx(6.0)
    assert np.all(comparison.halving.losses[:, 1, -1] == 2.0)
    assert set(comparison.random.losses[:, 1, -1]) == {3.0, 1.0}
    assert comparison.halving.hypervolume.max() < 1
