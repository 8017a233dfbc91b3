"""Which models of a sweep with several seeds are exported how."""

from __future__ import annotations

import pathlib

import pytest
from bench import SMOKE

from components.tfjs_exporter.executor import wanted_quantisations
from tinytimbre.config import SweepConfig, load_config
from tinytimbre.sweep import RungResult, TrialStore, plan_sweep


@pytest.fixture
def config() -> SweepConfig:
    """Two configurations with three seeds each, two rungs."""
    space = {"decoder": ["gru"], "input": ["loudness"], "harmonics": [8], "width": [4, 6], "seed": [0, 1, 2]}
    smoke = load_config(SMOKE).model_dump()
    return SweepConfig.model_validate({**smoke, "search": {"space": space}})


def test_the_best_seed_is_exported_in_everything_and_the_others_tell_the_floor(
    config: SweepConfig, tmp_path: pathlib.Path
) -> None:
    trials = plan_sweep(config, fingerprints={"reed": "f"}).trials
    store = TrialStore(tmp_path)
    for index, trial in enumerate(trials):
        # The early rung has them the other way round.
        for rung, loss in enumerate((9.0 - index, 1.0 + index)):
            result = RungResult(trial_id=trial.trial_id, rung=rung, step=rung + 1, status="done", validation_loss=loss)
            store.write_result(result)
    wanted = wanted_quantisations(trials, store=store, config=config)
    every = config.export.quantisations
    assert len(every) > 1
    for width in (4, 6):
        seeds = [trial.trial_id for trial in trials if trial.decoder.width == width]
        assert [wanted[trial_id] for trial_id in seeds] == [every, every[:1], every[:1]]
