"""Search spaces, plans and promotion."""

from __future__ import annotations

import subprocess
import sys

import pydantic
import pytest

from tinytimbre.config import BudgetConfig, SearchConfig, SweepConfig
from tinytimbre.errors import TinyTimbreError
from tinytimbre.sweep import RungResult, SweepPlan, Trial, plan_sweep, promote
from tinytimbre.sweep.plan import stratum_of
from tinytimbre.sweep.space import expand

SPACE = {"decoder": ["gru", "cnn"], "input": ["loudness", "rms_energy"], "harmonics": [20, 60]}


def search(**changes: object) -> SearchConfig:
    values = {"space": SPACE, "gru": {"width": [8, 32]}, "cnn": {"width": [4, 16, 32], "depth": [4]}, **changes}
    return SearchConfig.model_validate(values)


def config(**changes: object) -> SweepConfig:
    return SweepConfig(name="test", search=search(), **changes)  # type: ignore[arg-type]


def test_grid_holds_every_combination_once() -> None:
    entries = expand(SweepConfig(name="test", search=search()))
    assert len(entries) == 2 * 2 * 2 + 2 * 2 * 3
    assert len({repr(entry) for entry in entries}) == len(entries)


def test_a_capped_grid_keeps_both_kinds_and_all_sizes() -> None:
    entries = expand(SweepConfig(name="test", search=search(trials=8)))
    assert len({repr(entry) for entry in entries}) == 8
    assert {entry["decoder"].kind for entry in entries} == {"gru", "cnn"}
    assert {entry["decoder"].input for entry in entries} == {"loudness", "rms_energy"}


def test_keys_of_the_other_kind_do_not_multiply() -> None:
    entries = expand(SweepConfig(name="test", search=search(cnn={"kernel_size": [2, 3], "depth": [1]}, gru={})))
    assert sum(entry["decoder"].kind == "gru" for entry in entries) == 4
    assert sum(entry["decoder"].kind == "cnn" for entry in entries) == 8


@pytest.mark.parametrize("method", ["random", "sobol"])
def test_sampling_is_deterministic_and_without_duplicates(method: str) -> None:
    first = expand(SweepConfig(name="test", search=search(method=method, trials=12, seed=4)))
    assert first == expand(SweepConfig(name="test", search=search(method=method, trials=12, seed=4)))
    assert len(first) == 12
    assert len({repr(entry) for entry in first}) == 12
    assert first != expand(SweepConfig(name="test", search=search(method=method, trials=12, seed=5)))


def test_constraints_hold() -> None:
    kept = expand(SweepConfig(name="test", search=search(constraints={"max_parameters": 3000})))
    assert kept
    assert all(entry["decoder"].parameters <= 3000 for entry in kept)
    cheap = expand(SweepConfig(name="test", search=search(constraints={"max_decoder_mflops": 0.1})))
    assert cheap
    assert all(entry["decoder"].mflops(frame_rate_hz=50) <= 0.1 for entry in cheap)
    with pytest.raises(TinyTimbreError, match="at least one configuration"):
        expand(SweepConfig(name="test", search=search(constraints={"max_parameters": 10})))


def test_included_configurations_come_on_top() -> None:
    extra = {"decoder": "gru", "width": 512, "depth": 1, "learning_rate": 1e-4}
    same = {**extra, "width": 512.0}
    limits = {"max_parameters": 3000}
    plain = expand(SweepConfig(name="test", search=search(constraints=limits, trials=5)))
    entries = expand(SweepConfig(name="test", search=search(constraints=limits, trials=5, include=[extra, same])))
    assert entries[:-1] == plain  # neither the limit on size nor the one on number applies, and twice is once
    last = entries[-1]
    assert (last["decoder"].kind, last["decoder"].width, last["learning_rate"]) == ("gru", 512, 1e-4)
    assert last["decoder"].kernel_size == 3  # what is not named is as in a space that does not name it
    assert last["decoder"].input == "loudness"


def test_an_included_configuration_of_the_space_changes_nothing() -> None:
    values = {"decoder": "cnn", "input": "rms_energy", "harmonics": 20, "width": 16, "depth": 4}
    assert expand(SweepConfig(name="test", search=search(include=[values]))) == expand(config())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"decoder": "gru"}, "needs 'width'"),
        ({"width": 8}, "needs 'decoder'"),
        ({"decoder": "gru", "width": 8, "widht": 4}, "did you mean 'width'"),
    ],
)
def test_included_configurations_are_checked_when_read(values: dict[str, object], message: str) -> None:
    with pytest.raises(pydantic.ValidationError, match=message):
        search(include=[values])


@pytest.mark.parametrize("values", [{"decoder": "lstm", "width": 8}, {"decoder": "gru", "width": 0}])
def test_impossible_included_configurations_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(TinyTimbreError):
        expand(SweepConfig(name="test", search=search(include=[values])))


def test_ids_depend_on_what_changes_the_result_and_on_nothing_else() -> None:
    def ids(fingerprint: str = "a", **changes: object) -> set[str]:
        return {trial.trial_id for trial in plan_sweep(config(**changes), fingerprints={"flute": fingerprint}).trials}

    assert len(ids()) == 20
    assert ids() == ids(gates={"loudness_db": 9.0}, training={"side_by_side": 1, "checkpoint_secs": 1.0})
    assert not ids() & ids(fingerprint="b")
    assert not ids() & ids(training={"batch_size": 3})
    assert not ids() & ids(seed=1)
    assert not ids() & ids(budget={"rung_steps": [1, 300, 900]})


@pytest.mark.parametrize("method", ["grid", "random", "sobol"])
def test_rooms_are_a_key_of_the_space_and_none_is_as_it_was(method: str) -> None:
    def trials(**space: list[int]) -> list[Trial]:
        drawn = search(space={**SPACE, **space}, method=method, trials=16)
        return list(plan_sweep(SweepConfig(name="test", search=drawn), fingerprints={"flute": "a"}).trials)

    assert {trial.decoder.reverb_bands for trial in trials()} == {0}
    assert {trial.decoder.reverb_bands for trial in trials(reverb_bands=[0, 8])} == {0, 8}
    everything = {trial.trial_id for trial in plan_sweep(config(), fingerprints={"flute": "a"}).trials}
    for trial in trials(reverb_bands=[0, 8]):
        assert (trial.trial_id in everything) == (trial.decoder.reverb_bands == 0)
    with pytest.raises(TinyTimbreError, match="reverb_bands"):
        trials(reverb_bands=[25])


def test_ids_are_the_same_in_another_process() -> None:
    plan = plan_sweep(config(), fingerprints={"flute": "a"})
    code = (
        "from tests.sweep.test_plan import config; from tinytimbre.sweep import plan_sweep;"
        "print(*(t.trial_id for t in plan_sweep(config(), fingerprints={'flute': 'a'}).trials))"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.split() == [trial.trial_id for trial in plan.trials]


def test_plan_survives_a_file(tmp_path: object) -> None:
    plan = plan_sweep(config(), fingerprints={"flute": "a", "sitar": "b"})
    plan.save(str(tmp_path))
    assert SweepPlan.load(str(tmp_path)) == plan
    assert plan.instruments == ["flute", "sitar"]


def test_strata_are_equally_wide_in_log_size() -> None:
    sizes = [1_000, 10_000, 100_000, 1_000_000]
    assert [stratum_of(size, sizes=sizes, strata=3) for size in sizes] == [0, 1, 2, 2]
    assert stratum_of(500, sizes=[500, 500], strata=4) == 0


def test_promotion_keeps_the_best_of_every_stratum() -> None:
    plan = plan_sweep(config(), fingerprints={"flute": "a", "sitar": "b"})
    # The larger, the better: without strata no small model would survive.
    results = [
        RungResult(trial_id=t.trial_id, rung=0, step=1, status="done", validation_loss=1e6 / t.parameters)
        for t in plan.trials
    ]
    chosen = promote(plan, results, budget=BudgetConfig(eta=3, strata=4))
    for instrument in plan.instruments:
        strata = {trial.stratum for trial in plan.trials if trial.instrument == instrument}
        kept = [plan.trial(trial_id) for trial_id in chosen if plan.trial(trial_id).instrument == instrument]
        assert {trial.stratum for trial in kept} == strata
        assert 20 / 3 <= len(kept) <= 20 / 3 + len(strata)


def test_failed_trials_are_not_promoted() -> None:
    plan = plan_sweep(config(), fingerprints={"flute": "a"})
    results = [RungResult(trial_id=t.trial_id, rung=0, step=1, status="failed", reason="x") for t in plan.trials]
    assert promote(plan, results, budget=BudgetConfig()) == []


def test_one_configuration_goes_on_with_all_its_seeds() -> None:
    space = {**SPACE, "seed": [0, 1, 2]}
    plan = plan_sweep(SweepConfig(name="test", search=search(space=space)), fingerprints={"flute": "a"})
    best = next(trial for trial in plan.trials if trial.decoder.kind == "cnn" and trial.seed == 1)
    # Its other seeds are the worst of all.
    losses = {t.trial_id: 9.0 if t.family == best.family else 2.0 + t.seed for t in plan.trials}
    losses[best.trial_id] = 1.0
    results = [
        RungResult(trial_id=name, rung=0, step=1, status="done", validation_loss=loss) for name, loss in losses.items()
    ]
    budget = BudgetConfig(eta=3, strata=4)
    chosen = set(promote(plan, results, budget=budget))
    family = {trial.trial_id for trial in plan.trials if trial.family == best.family}
    assert len(family) == 3
    assert family <= chosen
    # On the next rung it is whole again, and stays.
    again = promote(plan, [result for result in results if result.trial_id in chosen], budget=budget)
    assert family <= set(again)
    assert len(again) < len(chosen)


def test_two_seeds_are_promoted_like_others() -> None:
    plan = plan_sweep(SweepConfig(name="test", search=search(space={**SPACE, "seed": [0, 1]})), fingerprints={"f": "a"})
    results = [
        RungResult(trial_id=t.trial_id, rung=0, step=1, status="done", validation_loss=float(t.seed))
        for t in plan.trials
    ]
    kept = [plan.trial(trial_id) for trial_id in promote(plan, results, budget=BudgetConfig(eta=2, strata=1))]
    assert {trial.seed for trial in kept} == {0}
