"""What 1,000 instruments × 1,000 configurations would take on Kubeflow: `make bench-scaling SWEPT=workspaces/full`.

Costs are read from a finished sweep; pods, stragglers and preemptions are simulated, with a seed. The
prices are those of one provider's list, as examples; each is an option. The last line is JSON.
"""

from __future__ import annotations

import argparse
import dataclasses
import heapq
import json
import math
import pathlib
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from benchmarks.options import exit_code, positive_float, positive_int
from benchmarks.scaling_costs import Costs, read_costs
from benchmarks.scaling_model import HOUR_SECS, Cluster, Traffic, Usage, evaluation_secs, simulate_run, traffic
from pipelines.workspace import Workspace

MAX_TASKS, TASKS_APART = 32, 7
"""Most tasks of a run, as `pipelines.kubeflow.compiler` has it, and those that are neither trainer nor promoter."""

SHAPES = ((1, 2), (1, 16), (2, 16), (4, 16), (4, 64))
"""Shards and processors of each."""

INSTRUMENTS_A_RUN = (1, 10, 100, 1_000)
LEAST_DRAWS = 20
CALM = {"start_spread": 0.0, "slow_share": 0.0, "preemptions_per_hour": 0.0}


@dataclasses.dataclass(frozen=True)
class Prices:
    """In dollars.

    Attributes:
        core_hour: of a virtual processor, on demand: a c5.2xlarge has 8 for 0.34 an hour
            (docs.aws.amazon.com/autoscaling/ec2/userguide/weights-spot-price-per-unit-hour-example.html; spot is about
            half).
        put: of 1,000 PUT requests of S3 Standard (aws.amazon.com/s3/pricing, US East).
        get: of 1,000 GET requests there.
        gb_month: of a gigabyte kept for a month there.
    """

    core_hour: float = 0.0425
    put: float = 0.005
    get: float = 0.0004
    gb_month: float = 0.023

    def store(self, found: Traffic) -> float:
        """Requests, and what is kept for a month; traffic within the region is free."""
        return found.puts / 1e3 * self.put + found.gets / 1e3 * self.get + found.kept / 1e9 * self.gb_month


@dataclasses.dataclass(frozen=True)
class Fleet:
    """All instruments, some in each run, as many runs at a time as the quota allows."""

    instruments_a_run: int
    runs: int
    at_a_time: int
    hours_a_run: float
    whole_days: float
    core_hours: float
    training_share: float
    failed_share: float


def max_shards(rungs: int) -> int:
    """Pods of a rung that the limit of tasks leaves."""
    return (MAX_TASKS - TASKS_APART - rungs) // rungs


def simulate_fleet(
    costs: Costs,
    *,
    instruments: int,
    instruments_a_run: int,
    configurations: int,
    cluster: Cluster,
    quota: int,
    seed: int,
) -> Fleet:
    """A run that fails is started again, and finds all but its last pod's work done."""
    runs, rng = math.ceil(instruments / instruments_a_run), np.random.default_rng(seed)
    given = {"instruments": instruments_a_run, "configurations": configurations, "cluster": cluster, "rng": rng}
    drawn = [simulate_run(costs, **given) for _ in range(max(runs, LEAST_DRAWS))]
    slots = [0.0] * min(runs, max(1, quota // (cluster.shards * cluster.cpus)))
    for usage in drawn[:runs]:
        heapq.heapreplace(slots, slots[0] + usage.wall_secs)
    core_secs = float(np.mean([usage.core_secs for usage in drawn]))
    return Fleet(
        instruments_a_run=instruments_a_run,
        runs=runs,
        at_a_time=len(slots),
        hours_a_run=float(np.median([usage.wall_secs for usage in drawn])) / HOUR_SECS,
        whole_days=max(slots) / HOUR_SECS / 24,
        core_hours=runs * core_secs / HOUR_SECS,
        training_share=float(np.mean([usage.useful_secs for usage in drawn])) / core_secs,
        failed_share=float(np.mean([usage.failed for usage in drawn])),
    )


def _measured(costs: Costs) -> Iterator[str]:
    yield "Measured, core seconds of a trial in each rung:"
    yield "  rung  trials  steps to  training: mean  longest  besides  checkpoint KB  weights KB"
    for number, rung in enumerate(costs.rungs):
        secs, steps = rung.training_secs, costs.config.budget.rung_steps[number]
        times = f"{secs.mean():15.1f} {secs.max():8.1f} {rung.overhead_secs:8.2f}"
        sizes = f"{rung.checkpoint_bytes.mean() / 1e3:13.0f} {rung.weights_bytes.mean() / 1e3:11.0f}"
        yield f"  {number:4} {len(secs):7} {steps:9} {times}  {sizes}"
    yield (
        f"  features {costs.features_secs:.0f} s an instrument; export and evaluation {costs.finalist_secs:.0f} s a "
        f"finalist; promoter {1e6 * costs.promotion_secs:.0f} µs a trial; plan {costs.plan_bytes:.0f} bytes a trial; "
        f"features {costs.features_bytes / 1e6:.1f} MB an instrument"
    )


def _one_instrument(costs: Costs, args: argparse.Namespace, cluster: Cluster) -> Iterator[dict[str, Any]]:
    """Rows of the first table: shapes of a run."""
    for shards, cpus in SHAPES:
        shape = dataclasses.replace(cluster, shards=shards, cpus=cpus)
        calm = _draw(costs, args, dataclasses.replace(shape, **CALM), draws=1)[0]
        drawn = _draw(costs, args, shape, draws=args.draws)
        walls = np.array([usage.wall_secs for usage in drawn]) / HOUR_SECS
        core_secs = np.mean([usage.core_secs for usage in drawn])
        yield {
            "shards": shards,
            "cpus": cpus,
            "calm_hours": calm.wall_secs / HOUR_SECS,
            "median_hours": float(np.median(walls)),
            "p95_hours": float(np.quantile(walls, 0.95)),
            "core_hours": float(core_secs) / HOUR_SECS,
            "training_share": float(np.mean([usage.useful_secs for usage in drawn]) / core_secs),
            "barrier_share": float(np.mean([usage.barrier_secs for usage in drawn]) / core_secs),
            "failed_share": float(np.mean([usage.failed for usage in drawn])),
        }


def _draw(costs: Costs, args: argparse.Namespace, cluster: Cluster, *, draws: int) -> list[Usage]:
    rng = np.random.default_rng(args.seed)
    given = {"instruments": 1, "configurations": args.configurations, "cluster": cluster, "rng": rng}
    return [simulate_run(costs, **given) for _ in range(draws)]


def _alone(costs: Costs, args: argparse.Namespace, cluster: Cluster, fleet: Fleet) -> dict[str, Any]:
    """What pods of a run have to do alone, or are all given."""
    instruments = fleet.instruments_a_run
    trials = instruments * args.configurations
    return {
        "instruments_a_run": instruments,
        "evaluation_hours": evaluation_secs(costs, instruments, args.configurations, cluster=cluster) / HOUR_SECS,
        "promoter_secs": trials * costs.promotion_secs,
        "plan_mb": trials * costs.plan_bytes / 1e6,
        "features_gb_a_pod": instruments * costs.features_bytes / 1e9,
    }


def _table(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Names above numbers; shares in per cent."""
    yield "  " + "  ".join(f"{name.replace('_', ' '):>14}" for name in rows[0])
    for row in rows:
        yield "  " + "  ".join(f"{_told(name, value):>14}" for name, value in row.items())


def _told(name: str, value: float) -> str:
    if name.endswith("share"):
        return f"{value:.1%}"
    return f"{value}" if isinstance(value, int) else f"{value:,.3g}" if value < 1_000 else f"{value:,.0f}"


def _store_words(found: Traffic, prices: Prices, *, hours: float) -> Iterator[str]:
    yield (
        f"  {found.written / 1e12:.2f} TB written, {found.read / 1e12:.2f} TB read, {found.kept / 1e12:.2f} TB kept; "
        f"{found.puts / 1e6:.0f} million PUT, {found.gets / 1e6:.0f} million GET: "
        f"{(found.puts + found.gets) / hours / HOUR_SECS:,.0f} requests a second"
    )
    yield f"  ${prices.store(found):,.0f} for requests and a month of what is kept"


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspace", type=pathlib.Path, default=pathlib.Path("workspaces/full"))
    parser.add_argument("--instruments", type=positive_int, default=1_000)
    parser.add_argument("--configurations", type=positive_int, default=1_000)
    parser.add_argument("--quota", type=positive_int, default=4_096, help="processors at a time")
    parser.add_argument("--draws", type=positive_int, default=200, help="simulations of each row")
    parser.add_argument("--seed", type=int, default=0)
    for field in dataclasses.fields(Prices):
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=positive_float, default=field.default)
    for field in dataclasses.fields(Cluster):
        if field.name not in ("shards", "cpus"):
            parser.add_argument(f"--{field.name.replace('_', '-')}", type=type(field.default), default=field.default)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the tables; gives the exit code."""
    args = _arguments(argv)
    return exit_code(lambda: _measure(args))


def _measure(args: argparse.Namespace) -> int:
    costs = read_costs(Workspace(args.workspace))
    prices = Prices(**{field.name: getattr(args, field.name) for field in dataclasses.fields(Prices)})
    most = max_shards(len(costs.rungs))
    given = {f.name: getattr(args, f.name) for f in dataclasses.fields(Cluster) if f.name not in ("shards", "cpus")}
    cluster = Cluster(shards=most, **given)
    shapes = list(_one_instrument(costs, args, cluster))
    common = {"configurations": args.configurations, "cluster": cluster}
    fleets = [
        simulate_fleet(
            costs, instruments=args.instruments, instruments_a_run=count, quota=args.quota, seed=args.seed, **common
        )
        for count in INSTRUMENTS_A_RUN
        if count <= args.instruments
    ]
    quickest = min(fleets, key=lambda fleet: fleet.whole_days)
    found = traffic(costs, instruments=quickest.instruments_a_run, **common).times(quickest.runs)
    rows = [dataclasses.asdict(fleet) | {"dollars": fleet.core_hours * prices.core_hour} for fleet in fleets]
    alone = [_alone(costs, args, cluster, fleet) for fleet in fleets]
    print("\n".join(_measured(costs)))
    print(f"\nOne instrument × {args.configurations:,} configurations in one run:")
    print("\n".join(_table(shapes)))
    pods = f"{most} shards of {cluster.cpus} processors ({MAX_TASKS} tasks allow no more)"
    print(f"\n{args.instruments:,} instruments, {pods}, at most {args.quota:,} processors at a time:")
    print("\n".join(_table(rows)))
    print("\nOf these runs, one pod alone:")
    print("\n".join(_table(alone)))
    print(f"\nStore and artifacts, {quickest.instruments_a_run} instruments a run:")
    print("\n".join(_store_words(found, prices, hours=24 * quickest.whole_days)))
    print(json.dumps({"shapes": shapes, "fleets": rows, "alone": alone, "store": dataclasses.asdict(found)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
