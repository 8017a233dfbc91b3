from __future__ import annotations

import pathlib

import pytest

from pipelines import estimate
from pipelines.estimate import (
    PIPELINE_BYTES,
    TRIAL_SECS,
    check_machine,
    estimate_disk,
    estimate_rungs,
    estimate_students,
    estimate_tuning,
    largest_group,
    step_seconds,
)
from pipelines.workspace import BYTES_PER_PARAMETER, BYTES_PER_TRIAL
from tinytimbre.config import SweepConfig, load_config
from tinytimbre.errors import TinyTimbreError
from tinytimbre.sweep import RungResult, Trial, promote
from tinytimbre.sweep.plan import plan_sweep

FULL = pathlib.Path(__file__).resolve().parents[2] / "configs" / "full.yaml"


def _config(**training: object) -> SweepConfig:
    return SweepConfig.model_validate(
        {
            "name": "x",
            "search": {"space": {"decoder": ["gru"], "width": [8, 9, 10, 11, 12, 13]}},
            "training": {"side_by_side": 4, **training},
            "budget": {"rung_steps": [10, 30], "eta": 3, "strata": 1},
        }
    )


def test_rungs_follow_successive_halving() -> None:
    config = _config()
    trials = plan_sweep(config, fingerprints={"a": "1", "b": "2"}).trials
    first, second = estimate_rungs(trials, config=config, jobs=1)
    assert (first.n_trials, second.n_trials) == (12, 4)  # of 6 for each instrument a third goes on
    assert (first.steps, second.steps) == (120, 80)
    assert first.seconds == pytest.approx(sum(10 * step_seconds(t, config=config) for t in trials) + 12 * TRIAL_SECS)


def test_students_are_counted_per_instrument_and_cost_no_more_than_other_trials() -> None:
    config = SweepConfig.model_validate({**_config().model_dump(), "distillation": {"enabled": True, "students": 3}})
    trials = plan_sweep(config, fingerprints={"a": "1", "b": "2"}).trials
    estimate = estimate_students(trials, config=config, jobs=1)
    assert (estimate.n_trials, estimate.steps) == (6, 6 * 30)  # as many steps as the last rung ends at
    mean_secs = sum(step_seconds(t, config=config) for t in trials) / len(trials)
    assert estimate.seconds == pytest.approx(6 * 30 * mean_secs + 6 * TRIAL_SECS)


def test_tuning_is_shared_by_the_processes() -> None:
    export = {"quantisations": ["tuned3"], "tuning_steps": 50}
    config = SweepConfig.model_validate({**_config().model_dump(), "export": export})
    trials = plan_sweep(config, fingerprints={"a": "1"}).trials
    one, two = (estimate_tuning(5, trials, config=config, jobs=jobs) for jobs in (1, 2))
    assert (one.n_trials, one.steps) == (two.n_trials, two.steps) == (5, 250)
    audio_secs = sum(step_seconds(t, config=config) for t in trials) / len(trials)
    # Rounding so small models costs little.
    assert 250 * audio_secs < one.seconds - 5 * TRIAL_SECS < 1.1 * 250 * audio_secs
    assert two.seconds == pytest.approx(one.seconds / 2)


def test_a_room_costs_time() -> None:
    spaces = ({"width": [8]}, {"width": [8], "reverb_bands": [8]})
    without, with_room = (plan_sweep(_searched(space), fingerprints={"a": "1"}).trials[0] for space in spaces)
    dry, wet = (step_seconds(trial, config=_config()) for trial in (without, with_room))
    assert 1.2 * dry < wet < 4 * dry
    longer = _config(clip_secs=3.0)
    assert step_seconds(with_room, config=longer) - step_seconds(without, config=longer) > wet - dry


def _searched(space: dict[str, object], **budget: object) -> SweepConfig:
    values = {"search": {"space": {"decoder": ["gru"], **space}}, "budget": {**_config().budget.model_dump(), **budget}}
    return SweepConfig.model_validate({**_config().model_dump(), **values})


def test_replicated_seeds_go_on_as_they_do_in_the_sweep() -> None:
    """Against `promote` itself, for losses that keep the replicated family out of every other way to go on."""
    config = _searched({"width": [8, 9, 10, 11, 12], "seed": [0, 1, 2, 3]}, rung_steps=[10, 30, 90])
    plan = plan_sweep(config, fingerprints={"a": "1", "b": "2"})

    def loss(trial: Trial) -> float:
        """Of the replicated family the first seed is the best trial of all, the others the worst."""
        return 1.0 if trial.decoder.width > 8 else 100.0 if trial.seed else 0.0

    estimates = estimate_rungs(plan.trials, config=config, jobs=1)
    going = [trial.trial_id for trial in plan.trials]
    for rung, found in enumerate(estimates):
        assert found.n_trials == len(going)
        results = [
            RungResult(trial_id=one, rung=rung, step=1, status="done", validation_loss=loss(plan.trial(one)))
            for one in going
        ]
        going = promote(plan, results, budget=config.budget)
    assert [found.n_trials for found in estimates] == [40, 20, 14]
    bare = _searched({"width": [8, 9, 10, 11, 12], "seed": [0, 1]}, rung_steps=[10, 30, 90])
    trials = plan_sweep(bare, fingerprints={"a": "1"}).trials
    assert [found.n_trials for found in estimate_rungs(trials, config=bare, jobs=1)] == [10, 4, 2]


def test_students_and_tuned_models_need_room_on_the_disk() -> None:
    plain = _config()
    trials = plan_sweep(plain, fingerprints={"a": "1"}).trials
    sections = [{"distillation": {"enabled": True, "students": 3}}, {"export": {"quantisations": ["tuned2", "tuned3"]}}]
    base, taught, tuned = (
        estimate_disk(
            trials, config=SweepConfig.model_validate({**plain.model_dump(), **section}), recorded_bytes=10**6
        )
        for section in ({}, *sections)
    )
    largest = BYTES_PER_TRIAL + BYTES_PER_PARAMETER * max(trial.parameters for trial in trials)
    assert taught - base == 3 * largest
    assert tuned - base == 2 * 2 * largest  # two finalists


def test_a_teacher_counts_where_there_are_students() -> None:
    config = _config()
    trials = plan_sweep(config, fingerprints={"a": "1"}).trials
    distilled = SweepConfig.model_validate({**config.model_dump(), "distillation": {"enabled": True}})
    # Here the students' group is as large as the largest group but for one width, so the teacher makes the difference.
    assert largest_group(trials, config=distilled).worker > largest_group(trials, config=config).worker


def test_two_processes_take_half_as_long() -> None:
    config = _config()
    trials = plan_sweep(config, fingerprints={"a": "1"}).trials
    one, two = (estimate_rungs(trials, config=config, jobs=jobs)[0].seconds for jobs in (1, 2))
    assert two == pytest.approx(one / 2)


def test_less_audio_and_fewer_spectra_cost_less() -> None:
    trial = plan_sweep(_config(), fingerprints={"a": "1"}).trials[0]
    whole = step_seconds(trial, config=_config())
    assert step_seconds(trial, config=_config(batch_size=4)) == pytest.approx(whole / 2)
    assert step_seconds(trial, config=_config(fft_sizes=[512])) < whole


def test_the_full_search_spans_all_sizes_and_is_an_evening() -> None:
    config = load_config(FULL)
    trials = plan_sweep(config, fingerprints={"a": "1"}).trials
    assert len({trial.trial_id for trial in trials}) >= 243
    assert min(trial.parameters for trial in trials) < 1_100
    assert max(trial.parameters for trial in trials) > 380_000
    for stratum in range(config.budget.strata):
        own = [trial for trial in trials if trial.stratum == stratum]
        assert len(own) >= 20
        assert {(t.decoder.kind, t.decoder.input) for t in own} == {
            (kind, level) for kind in ("gru", "cnn") for level in ("loudness", "rms_energy")
        }
    estimates = estimate_rungs(trials, config=config, jobs=2)
    assert sum(estimate.seconds for estimate in estimates) < 90 * 60
    assert estimates[-1].n_trials == 2 * config.budget.strata


def test_the_largest_group_decides_about_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    config = _config()
    trials = plan_sweep(config, fingerprints={"a": "1"}).trials
    largest = largest_group(trials, config=config)
    # Six trials side by side four at a time: four and two.
    assert largest.worker > largest_group(trials[:2], config=config).worker
    monkeypatch.setattr(estimate, "machine_bytes", lambda: PIPELINE_BYTES + largest.all_workers(2))
    check_machine(trials, config=config, jobs=2)
    with pytest.raises(TinyTimbreError, match="must fit into the machine's memory"):
        check_machine(trials, config=config, jobs=3)
