"""Fine-tuning for few bits, with real training on a tiny instrument."""
# ruff: noqa: F811 (arguments named like the imported fixture)

from __future__ import annotations

import pathlib
import shutil

import numpy as np
import pytest

from tests.sweep.test_rung import config, features_dir  # noqa: F401, the fixture
from tests.sweep.test_rung import run as run_sweep
from tinytimbre.config import SweepConfig
from tinytimbre.decoders import InputRange
from tinytimbre.export.packing import rounded
from tinytimbre.features.examples import read_features
from tinytimbre.sweep import SweepPlan, Trial, TrialStore, plan_sweep, tuning
from tinytimbre.sweep.trainer import clip_pool
from tinytimbre.sweep.tuning import LOSS, tune_trials, tuned_decoder, tuning_key
from tinytimbre.training.group import ModelGroup
from tinytimbre.training.optimiser import Adam
from tinytimbre.training.rounding import rounded_view

BITS = {"tuned2": 2, "tuned3": 3}


@pytest.fixture(scope="module")
def settings() -> SweepConfig:
    return SweepConfig.model_validate({**config(steps=(4, 40)).model_dump(), "export": {"tuning_steps": 30}})


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
    return TrialStore(shutil.copytree(store.address, tmp_path / "store"))


def finalists(plan: SweepPlan, store: TrialStore) -> list[Trial]:
    return [trial for trial in plan.trials if store.result(trial.trial_id, 1)]


def tune(trials, store, features, settings, quantisation="tuned2"):
    tune_trials(trials, quantisation=quantisation, features_dir=str(features), store=store, config=settings)
    return {
        trial.trial_id: tuned_decoder(
            trial.trial_id, quantisation=quantisation, store=store, config=settings
        ).get_weights()
        for trial in trials
    }


def rounded_loss(trial, weights, *, bits, features, settings):
    """Validation loss of weights rounded beforehand, by a group that knows of no rounding."""
    pool = clip_pool(read_features(features, split="validation", instrument="tone"), settings, past_secs=0.0)
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


def test_finished_tuning_is_not_done_again(
    plan, own, store, features_dir, settings, monkeypatch
):  # fmt: skip
    trials = finalists(plan, own)
    together = tune(trials, own, features_dir, settings, "tuned3")
    with monkeypatch.context() as patch:
        patch.setattr(ModelGroup, "train_step", lambda *_, **__: pytest.fail("trained again"))
        again = tune(trials, own, features_dir, settings, "tuned3")
    for trial in trials:
        for name, value in together[trial.trial_id].items():
            np.testing.assert_array_equal(value, again[trial.trial_id][name])


def test_an_interrupted_tuning_continues(plan, own, store, features_dir, settings, monkeypatch, tmp_path):
    trials, undisturbed = finalists(plan, own), TrialStore(shutil.copytree(store.address, tmp_path / "other"))
    expected = tune(trials, undisturbed, features_dir, settings)
    hurried = settings.model_copy(update={"training": settings.training.model_copy(update={"checkpoint_secs": 1e-9})})
    original = ModelGroup.train_step

    def interrupted(group, batch, *, step: int):
        if step == 17:
            raise KeyboardInterrupt
        return original(group, batch, step=step)

    with monkeypatch.context() as patch:
        patch.setattr(ModelGroup, "train_step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            tune(trials, own, features_dir, hurried)
    key = tuning_key("tuned2", settings)
    reached, state = own.tuning(trials[0].trial_id, key)
    assert reached == 17
    assert LOSS in state
    found = tune(trials, own, features_dir, settings)
    for trial in trials:
        for name, value in expected[trial.trial_id].items():
            np.testing.assert_array_equal(value, found[trial.trial_id][name])
        assert own.tuning(trial.trial_id, key) is None


def test_weights_that_tuning_makes_worse_stay_as_they_were(plan, own, features_dir, settings, monkeypatch):
    trials = finalists(plan, own)[:1]
    monkeypatch.setattr(tuning, "RATE_SHARE", 1e4)
    found = tune(trials, own, features_dir, settings)
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
