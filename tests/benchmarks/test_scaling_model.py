"""The model of many pods against what follows from its rules, and its inputs against the code they describe."""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import pytest

from benchmarks.scaling import CALM, MAX_TASKS, TASKS_APART, Prices, max_shards, simulate_fleet
from benchmarks.scaling_costs import Costs, RungCosts, promotion_secs
from benchmarks.scaling_model import Cluster, Traffic, makespan, simulate_run, traffic
from pipelines.kubeflow import compiler
from tinytimbre.config import SweepConfig
from tinytimbre.sweep import RungResult, SweepPlan, plan_sweep, promote

QUIET = Cluster(shards=2, cpus=3, start_secs=10.0, import_secs=4.0, request_secs=0.0, **CALM)


def config(**budget: object) -> SweepConfig:
    space = {"width": list(range(4, 64)), "harmonics": [20, 40], "learning_rate": [0.001, 0.002]}
    training = {"side_by_side": 1, "checkpoint_secs": 20.0}
    return SweepConfig.model_validate({"name": "x", "search": {"space": space}, "budget": budget, "training": training})


def constant(secs: float, *, trials: int = 5, overhead: float = 0.5) -> RungCosts:
    """A rung in which all trials are alike."""
    return RungCosts(np.full(trials, secs), overhead, np.full(trials, 1_000.0), np.full(trials, 300.0))


def costs(*rungs: RungCosts, **budget: object) -> Costs:
    steps = tuple(100 * 3**number for number in range(len(rungs)))
    return Costs(
        config=config(rung_steps=steps, **budget), rungs=rungs, start_secs=2.0, features_secs=30.0, finalist_secs=12.0,
        promotion_secs=0.001, plan_bytes=400.0, features_bytes=5_000.0,
    )  # fmt: skip


@pytest.mark.parametrize("budget", [{"eta": 2.5, "strata": 8, "min_per_stratum": 2}, {"eta": 3.0, "strata": 1}])
def test_as_many_trials_go_on_as_are_promoted(budget: dict[str, float]) -> None:
    measured = costs(constant(1.0), constant(1.0), constant(1.0), **budget)
    plan = plan_sweep(measured.config, fingerprints={"flute": ""})
    left, counts = list(plan.trials), measured.participants(len(plan.trials))
    assert counts[0] == len(left)
    for expected in counts[1:-1]:
        rest = SweepPlan(name="x", rungs=plan.rungs, trials=tuple(left))
        results = [
            RungResult(trial_id=t.trial_id, rung=0, step=1, status="done", validation_loss=float(n))
            for n, t in enumerate(left)
        ]
        chosen = set(promote(rest, results, budget=measured.config.budget))
        left = [trial for trial in left if trial.trial_id in chosen]
        # Each stratum rounds up for itself.
        assert expected <= len(left) <= expected + measured.config.budget.strata
    assert counts[-1] == counts[-2]


@pytest.mark.parametrize(("n", "cpus", "size"), [(1, 4, 1), (7, 2, 1), (40, 3, 4), (200, 8, 8)])
def test_a_pods_time_lies_between_what_no_schedule_and_any_greedy_one_can_reach(n: int, cpus: int, size: int) -> None:
    secs = np.random.default_rng(n).lognormal(sigma=1.0, size=n)
    found = makespan(secs, cpus=cpus, side_by_side=size)
    group = max(1, min(size, n // (2 * cpus)))
    longest = np.sort(secs)[::-1][:group].sum()
    # Graham's bound for list scheduling.
    assert max(secs.sum() / cpus, longest) <= found + 1e-9
    assert found <= secs.sum() / cpus + (1 - 1 / cpus) * longest + 1e-9


def test_equal_trials_are_dealt_out_in_rounds() -> None:
    assert makespan(np.full(10, 3.0), cpus=4, side_by_side=1) == 9.0
    assert makespan(np.full(16, 3.0), cpus=4, side_by_side=8) == 12.0  # two groups of 2 each
    assert makespan(np.array([]), cpus=4, side_by_side=8) == 0.0


def test_a_run_without_accidents_takes_what_its_stages_add_up_to() -> None:
    measured = costs(constant(3.0), constant(9.0), eta=2.0, strata=1)
    usage = simulate_run(measured, instruments=1, configurations=12, cluster=QUIET, rng=np.random.default_rng(0))
    started = 10.0 + 4.0
    features, promoter, evaluation = 30.0 / 3, 0.001 * 12, 6 * 12.0 / 3
    first, second = 2.0 + 2 * 3.5, 2.0 + 1 * 9.5  # 6 and 3 trials a pod, on 3 processors
    assert usage.wall_secs == pytest.approx(6 * started + features + first + second + 2 * promoter + evaluation)
    busy = 3 * (4.0 + features) + 2 * 3 * (4.0 + first) + 2 * 3 * (4.0 + second) + 2 * (4.0 + promoter)
    assert usage.core_secs == pytest.approx(busy + 3 * (4.0 + evaluation))
    assert usage.useful_secs == pytest.approx(12 * 3.0 + 6 * 9.0)
    assert usage.barrier_secs == 0.0
    assert not usage.failed


def test_slow_nodes_hold_up_everyone_at_the_barrier() -> None:
    measured = costs(constant(30.0))
    slow = dataclasses.replace(QUIET, slow_share=0.3, slow_factor=2.0)
    runs = [
        simulate_run(measured, instruments=1, configurations=60, cluster=slow, rng=np.random.default_rng(seed))
        for seed in range(200)
    ]
    # Either pod is slow in 0.3 of the cases, one at least in 1 - 0.7 ** 2; four standard deviations of 200 draws.
    held_up = np.mean([run.barrier_secs > 0 for run in runs])
    assert abs(held_up - 2 * 0.3 * 0.7) < 4 * math.sqrt(0.42 * 0.58 / 200)
    assert len({round(run.wall_secs, 6) for run in runs}) > 1


def test_preempted_pods_go_on_and_fail_the_run_after_their_retries() -> None:
    measured = costs(constant(600.0))
    often = dataclasses.replace(QUIET, preemptions_per_hour=2.0)
    given = {"instruments": 1, "configurations": 24}
    calm = simulate_run(measured, **given, cluster=QUIET, rng=np.random.default_rng(0))
    runs = [simulate_run(measured, **given, cluster=often, rng=np.random.default_rng(seed)) for seed in range(200)]
    assert all(run.wall_secs >= calm.wall_secs - 1e-9 and run.core_secs >= calm.core_secs - 1e-9 for run in runs)
    # A pod works 2,406 s: 1.3 kills on average; a run with one that had more than 2 fails. Lost work adds little.
    mean = 2.0 * (4.0 + 2.0 + 4 * 600.5) / 3_600
    survives = sum(mean**k * math.exp(-mean) / math.factorial(k) for k in range(3))
    expected = 1 - survives**2
    assert abs(np.mean([run.failed for run in runs]) - expected) < 0.1 + 4 * math.sqrt(expected * (1 - expected) / 200)


def test_traffic_is_what_the_trials_of_all_rungs_write_and_read() -> None:
    measured = costs(constant(3.0), constant(45.0), eta=2.0, strata=1)
    found = traffic(measured, instruments=2, configurations=12, cluster=QUIET)
    first, second, artifacts = 24, 12, 2 * (5_000.0 + 400.0 * 12)
    # The second rung saves after 20 and 40 s and at its end.
    assert found.written == pytest.approx(first * 1_300 + second * 3_300 + artifacts)
    assert found.read == pytest.approx(second * 2 * 1_000 + 4 * artifacts)
    assert found.kept == pytest.approx(first * 1_300 + second * 300 + artifacts)
    assert found.puts == pytest.approx(first * (2 + 5) + second * (6 + 5) + 4)


def test_prices() -> None:
    found = Traffic(puts=2_000.0, gets=10_000.0, kept=3e9)
    assert Prices(put=1.0, get=0.1, gb_month=10.0).store(found) == pytest.approx(2 + 1 + 30)


def test_a_fleet_is_as_long_as_its_fullest_slot() -> None:
    measured, seed = costs(constant(3.0)), 0
    one = simulate_run(measured, instruments=1, configurations=12, cluster=QUIET, rng=np.random.default_rng(0))
    given = {"instruments_a_run": 1, "configurations": 12, "cluster": QUIET, "seed": seed}
    fleet = simulate_fleet(measured, instruments=7, quota=3 * 6, **given)
    assert (fleet.runs, fleet.at_a_time) == (7, 3)
    assert fleet.whole_days * 86_400 == pytest.approx(3 * one.wall_secs)
    assert fleet.core_hours * 3_600 == pytest.approx(7 * one.core_secs)


def test_limits_are_those_of_the_compiler() -> None:
    assert compiler.MAX_TASKS == MAX_TASKS
    for rungs, shards in itertools.product((1, 3, 5), (1, 2)):
        given = config(rung_steps=tuple(10 * 2**number for number in range(rungs)))
        compiled = compiler.compile_pipeline(given, image="tinytimbre:1", shards=shards)
        assert compiled.n_tasks == TASKS_APART + rungs * (shards + 1)
        assert (
            TASKS_APART + rungs * (max_shards(rungs) + 1) <= MAX_TASKS < TASKS_APART + rungs * (max_shards(rungs) + 2)
        )


def test_a_promoters_time_is_measured_on_plans_of_its_own() -> None:
    plan = plan_sweep(config(), fingerprints={"flute": ""})
    # Between a microsecond, in which nothing is parsed, and a hundredth of a second, which no trial needs.
    assert 1e-6 < promotion_secs(plan, config=config()) < 1e-2
