"""Both searches with real training on a tiny instrument, and what is said about them."""

from __future__ import annotations

import json
import pathlib

import numpy as np
import pytest

from benchmarks.search import Search, adopt, compared, random_search, successive_halving, summary, table
from benchmarks.search_chart import draw
from benchmarks.search_curves import Event
from tests.sweep.test_rung import config, take
from tinytimbre.errors import TinyTimbreError
from tinytimbre.features.examples import write_split
from tinytimbre.sweep import TrialStore, plan_sweep


@pytest.fixture(scope="module")
def search(tmp_path_factory: pytest.TempPathFactory) -> Search:
    folder = tmp_path_factory.mktemp("search")
    write_split([take("a", f0_hz=220), take("b", f0_hz=330)], features_dir=folder / "features", split="train")
    write_split([take("c", f0_hz=262)], features_dir=folder / "features", split="validation")
    settings = config(steps=(4, 12))
    plan = plan_sweep(settings, fingerprints={"tone": "f"})
    return Search(plan, settings, folder / "features", TrialStore(folder / "trials"), jobs=1)


def test_both_searches_end_and_are_compared(search: Search, tmp_path: pathlib.Path) -> None:
    stages = successive_halving(search)
    assert [len(stage) for stage in stages] == [4, 2]
    spent = sum(event.train_seconds for stage in stages for event in stage)
    drawn = random_search(search, goal_secs=spent, mean_secs=spent, seed=0)
    assert 1 <= len(drawn) <= 4
    last = len(search.plan.rungs) - 1
    for event in drawn:
        result = search.store.result(event.trial_id, last)
        assert result is not None
        assert (result.step, result.validation_loss) == (12, event.validation_loss)
        # A trial that halving had stopped is continued; its first rung counts too.
        assert event.train_seconds == sum(own.train_seconds for own in search.store.results(event.trial_id))
    comparison = compared(stages, drawn, instrument="tone", limits=[10**6], n_orders=3, seed=0)
    figures = summary(comparison, stages=stages, drawn=drawn)
    assert figures["best_loss"][0]["halving"][1] == pytest.approx(
        min(event.validation_loss for stage in stages for event in stage if event.validation_loss), abs=1e-4
    )
    assert "halving: 4 → 2 trials" in table(json.loads(json.dumps(figures)))
    draw(comparison, output=tmp_path / "chart.png")
    assert (tmp_path / "chart.png").read_bytes().startswith(b"\x89PNG")


def test_a_second_start_trains_nothing_and_finds_the_same(search: Search) -> None:
    first = successive_halving(search)
    written = {path: path.stat().st_mtime_ns for path in search.store.root.rglob("*.npz")}
    assert successive_halving(search) == first
    assert {path: path.stat().st_mtime_ns for path in search.store.root.rglob("*.npz")} == written


def test_random_search_draws_every_trial_once_at_most(search: Search) -> None:
    drawn = random_search(search, goal_secs=1e9, mean_secs=1.0, seed=1)
    assert {event.trial_id for event in drawn} == {trial.trial_id for trial in search.plan.trials}
    assert len(drawn) == len(search.plan.trials)


def test_finished_trials_are_taken_over_and_the_source_stays(search: Search, tmp_path: pathlib.Path) -> None:
    successive_halving(search)
    target = TrialStore(tmp_path)
    assert adopt(search.plan.trials, source=search.store, target=target) == 4
    assert adopt(search.plan.trials, source=search.store, target=target) == 0
    for trial in search.plan.trials:
        assert target.results(trial.trial_id) == search.store.results(trial.trial_id)


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
