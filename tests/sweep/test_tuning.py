"""Fine-tuning for few bits, with real training on a tiny instrument."""
# ruff: noqa: F811 (arguments named like the imported fixture)

from __future__ import annotations

import itertools
import pathlib
import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from tests.sweep.test_rung import config, features_dir  # noqa: F401, the fixture
from tests.sweep.test_rung import run as run_sweep
from tinytimbre.config import SweepConfig
from tinytimbre.decoders import InputRange
from tinytimbre.export.packing import rounded
from tinytimbre.sweep import SweepPlan, Trial, TrialStore, plan_sweep, tuning
from tinytimbre.sweep.accounts import Stopwatch, read_accounts
from tinytimbre.sweep.trainer import clip_pools
from tinytimbre.sweep.tuning import LOSS, _TuningWork, tune_group, tune_trials, tuned_decoder, tuning_key
from tinytimbre.training.clips import ClipPool
from tinytimbre.training.group import ModelGroup
from tinytimbre.training.optimiser import Adam
from tinytimbre.training.rounding import rounded_view

BITS = {"tuned2": 2, "tuned3": 3}


@pytest.fixture(scope="module")
def settings() -> SweepConfig:
    export = {"quantisations": ["tuned2", "tuned3"], "tuning_steps": 30}
    return SweepConfig.model_validate({**config(steps=(4, 40)).model_dump(), "export": export})


@pytest.fixture(scope="module")
def plan(settings: SweepConfig) -> SweepPlan:
    return plan_sweep(settings, fingerprints={"tone": "f"})


@pytest.fixture(scope="module")
def store(
    settings: SweepConfig,
    features_dir: pathlib.Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> TrialStore:
    """With trained trials; each test has its own copy."""
    found = TrialStore(tmp_path_factory.mktemp("trained"))
    run_sweep(settings, found, features_dir)
    return found


@pytest.fixture
def own(store: TrialStore, tmp_path: pathlib.Path) -> TrialStore:
    return TrialStore(shutil.copytree(store.root, tmp_path / "store"))


def finalists(plan: SweepPlan, store: TrialStore) -> list[Trial]:
    return [trial for trial in plan.trials if store.result(trial.trial_id, 1)]


def tune(trials, store, features, settings, quantisation="tuned2", jobs=1):
    results = tune_trials(
        trials, quantisation=quantisation, features_dir=str(features), store=store, config=settings, jobs=jobs
    )
    assert [(result.trial_id, result.status) for result in results] == [(trial.trial_id, "done") for trial in trials]
    return tuned_weights(trials, store, settings, quantisation)


def tuned_weights(trials, store, settings, quantisation="tuned2"):
    return {
        trial.trial_id: tuned_decoder(
            trial.trial_id, quantisation=quantisation, store=store, config=settings
        ).get_weights()
        for trial in trials
    }


def tune_here(trials, store, features, settings, *, on_step=lambda _: None):
    """In this process, where the test can look and interfere."""
    work = _TuningWork(store, settings, str(features), 1, settings.export.tuning_steps, "tuned2")
    tune_group(trials, work=work, on_step=on_step, clock=Stopwatch())
    return tuned_weights(trials, store, settings)


def assert_same(first, second):
    assert first.keys() == second.keys()
    for trial_id, weights in first.items():
        for name, value in weights.items():
            np.testing.assert_array_equal(value, second[trial_id][name])


def rounded_loss(trial, weights, *, bits, features, settings):
    """Validation loss of weights rounded beforehand, by a group that knows of no rounding."""
    _, pool = clip_pools([trial], features_dir=str(features), config=settings)
    common = {"seeds": [0], "input_ranges": [InputRange()], "learning_rates": [1.0], "total_steps": 1}
    group = ModelGroup([trial.decoder], shape=pool.shape, config=settings.training, **common)
    group.decoders[0].set_weights({name: rounded(value, bits=bits) for name, value in weights.items()})
    group.optimisers[0] = Adam(group.decoders[0].weights, clip_norm=1.0)
    return float(group.validation_losses(pool.validation_batches(max_batches=4))[0])


def test_tuning_lowers_the_loss_of_the_rounded_weights(plan, own, features_dir, settings):
    trials = finalists(plan, own)
    assert len(trials) == 2
    tuned = tune(trials, own, features_dir, settings)
    for trial in trials:
        common = {"bits": 2, "features": features_dir, "settings": settings}
        before = rounded_loss(trial, own.load_decoder(trial.trial_id).get_weights(), **common)
        assert rounded_loss(trial, tuned[trial.trial_id], **common) < before


def test_finished_tuning_is_not_done_again(plan, own, features_dir, settings, monkeypatch):
    trials = finalists(plan, own)
    together = tune(trials, own, features_dir, settings, "tuned3")
    monkeypatch.setattr(tuning, "run_in_processes", lambda *_, **__: pytest.fail("tuned again"))
    assert_same(together, tune(trials, own, features_dir, settings, "tuned3"))


def test_it_runs_in_processes_and_its_time_is_accounted_for(plan, own, features_dir, settings, tmp_path, caplog):
    trials, alone = finalists(plan, own), TrialStore(shutil.copytree(own.root, tmp_path / "alone"))
    with caplog.at_level("INFO", logger="tinytimbre.progress"):
        found = tune(trials, own, features_dir, settings, jobs=2)
    for trial in trials:
        tune_here([trial], alone, features_dir, settings)
    # A worker leaves out Grappler, which may order sums differently: some last bits of 30 steps.
    for trial_id, weights in tuned_weights(trials, alone, settings).items():
        for name, value in weights.items():
            np.testing.assert_allclose(found[trial_id][name], value, rtol=1e-3, atol=1e-4)
    account = read_accounts(own.root)[-1]
    assert (account.stage, account.jobs, set(account.trial_ids)) == ("fine-tuning", 2, {t.trial_id for t in trials})
    assert {"training", "tracing", "start", "data", "building", "validation", "checkpoints"} <= set(account.seconds)
    # Each part is rounded to a millisecond; a worker that is replaced may overlap with the next by the poll.
    assert sum(account.seconds.values()) == pytest.approx(2 * account.wall_secs, rel=0.01)
    trained = sum(result.train_seconds for trial in trials for result in own.tuning_results(trial.trial_id))
    assert trained == pytest.approx(account.seconds["training"] + account.seconds["tracing"], rel=0.01)
    events = [record.progress for record in caplog.records]
    assert (events[-1].label, events[-1].done, events[-1].total) == ("tune tuned2", 60, 60)


def test_a_trial_that_crashes_is_recorded_stops_nothing_and_is_tried_again(plan, own, features_dir, settings):
    trials = finalists(plan, own)
    lost = own.folder(trials[0].trial_id) / "weights-1.npz"
    content = lost.read_bytes()
    lost.unlink()
    arguments = {"quantisation": "tuned2", "features_dir": str(features_dir), "store": own, "config": settings}
    results = {result.trial_id: result for result in tune_trials(trials, jobs=1, **arguments)}
    assert [results[trial.trial_id].status for trial in trials] == ["failed", "done"]
    assert "exit code" in results[trials[0].trial_id].reason
    lost.write_bytes(content)
    tune(trials, own, features_dir, settings)


def test_a_trial_that_hangs_is_recorded(plan, own, features_dir, settings):
    """No step ends within no time at all."""
    budget = settings.budget.model_copy(update={"trial_timeout_secs": 1e-9})
    hurried = settings.model_copy(update={"budget": budget})
    trials = finalists(plan, own)[:1]
    (result,) = tune_trials(
        trials, quantisation="tuned2", features_dir=str(features_dir), store=own, config=hurried, jobs=1
    )
    assert result.status == "failed"
    assert "budget.trial_timeout_secs" in result.reason


class Killed(BaseException):
    """Stands for the moment at which a process is killed: nothing after it runs."""


def test_a_killed_tuning_continues(plan, own, features_dir, settings, monkeypatch, tmp_path):
    ticks = itertools.count()
    monkeypatch.setattr(tuning, "time", SimpleNamespace(monotonic=lambda: float(next(ticks))))  # a step takes 1 s
    trials, undisturbed = finalists(plan, own), TrialStore(shutil.copytree(own.root, tmp_path / "other"))
    hurried = settings.model_copy(update={"training": settings.training.model_copy(update={"checkpoint_secs": 1e-9})})
    expected = tune_here(trials, undisturbed, features_dir, settings)
    steps = itertools.count(1)

    def stop(_: int) -> None:
        if next(steps) == 17:
            raise Killed

    with pytest.raises(Killed):
        tune_here(trials, own, features_dir, hurried, on_step=stop)
    key = tuning_key("tuned2", settings)
    reached, state = own.tuning(trials[0].trial_id, key)
    assert reached == 16
    assert LOSS in state
    assert_same(expected, tune_here(trials, own, features_dir, settings))
    for trial in trials:
        assert own.tuning(trial.trial_id, key) is None
        # Thirty steps of 1 s, shared by two; the one that the kill undid does not count.
        assert [store.tuning_result(trial.trial_id, key).train_seconds for store in (own, undisturbed)] == [15, 15]


def test_tuning_has_batches_of_its_own(plan, own, features_dir, settings, monkeypatch):
    """A student's training may be longer than the last rung."""
    original, seen = ClipPool.training_batch, []

    def noted(pool, *, seed: int, step: int):
        seen.append((seed, step))
        return original(pool, seed=seed, step=step)

    monkeypatch.setattr(ClipPool, "training_batch", noted)
    tune_here(finalists(plan, own)[:1], own, features_dir, settings)
    assert len(set(seen)) == settings.export.tuning_steps
    assert min(step for _, step in seen) > 10**9


def test_weights_that_tuning_makes_worse_stay_as_they_were(plan, own, features_dir, settings, monkeypatch):
    trials = finalists(plan, own)[:1]
    monkeypatch.setattr(tuning, "RATE_SHARE", 1e9)
    found = tune_here(trials, own, features_dir, settings)
    before = own.load_decoder(trials[0].trial_id).get_weights()
    for name, value in before.items():
        np.testing.assert_array_equal(found[trials[0].trial_id][name], value)


def test_an_untuned_trial_is_named(plan, own, settings):
    with pytest.raises(KeyError, match="tuned3"):
        tuned_decoder(plan.trials[0].trial_id, quantisation="tuned3", store=own, config=settings)


def test_the_view_is_the_rounding_of_the_export():
    import tensorflow as tf

    value = tf.Variable(np.random.default_rng(0).normal(size=(9, 5)).astype(np.float32))
    with tf.GradientTape() as tape:
        seen = tf.function(rounded_view(bits=3))("w", value)
    # value + (rounded - value) may differ from rounded in its last bit.
    np.testing.assert_allclose(seen, rounded(value.numpy(), bits=3), rtol=3e-7, atol=1e-7)
    np.testing.assert_array_equal(tape.gradient(seen, value), np.ones((9, 5)))
