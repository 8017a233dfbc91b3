"""Quality against training time, successive halving beside plain random search at equal compute: `make bench-search`.

Halving is the sweep of a finished workspace, read from its trial store. Random search takes configurations of the same
space in seeded random order and trains each from the start to the last rung, on the same features and with the same
trainer, for as many steps in all as the sweep. A step counts what one took on average in the sweep, whosever it is:
seconds measured hours apart would compare what else the machine did, and trials side by side share their time equally
anyway. Interrupted, the same command continues. Writes a chart; the last line is JSON.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import pathlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks.options import exit_code, positive_float, positive_int
from benchmarks.search_curves import (
    Curves,
    Event,
    curves,
    hypervolume,
    interval,
    orders,
    reached_at,
    size_limits,
)
from tinytimbre.config import SweepConfig, load_config
from tinytimbre.errors import TinyTimbreError
from tinytimbre.sweep import RungResult, SweepPlan, Trial, TrialStore, plan_sweep, promote, train_rung

TIMES = 400
"""Points of a curve."""


@dataclasses.dataclass(frozen=True)
class Search:
    """What both searches share: the plan of one instrument, its configuration and features."""

    plan: SweepPlan
    config: SweepConfig
    features: pathlib.Path
    jobs: int


def halving_events(search: Search, *, store: TrialStore) -> tuple[list[list[Event]], float]:
    """What each rung of a finished sweep cost and found, and the mean seconds of a step of one trial.

    Raises:
        TinyTimbreError: a rung is not finished.
    """
    trials, rungs = list(search.plan.trials), []
    for rung in range(len(search.plan.rungs)):
        found = [result for trial in trials if (result := store.result(trial.trial_id, rung))]
        if len(found) < len(trials):
            raise TinyTimbreError(
                "the sweep of the workspace must have trained all rungs of this configuration",
                got=f"{len(found)} of {len(trials)} trials of rung {rung} in {store.address}",
                remedy="run it to its end with the same configuration",
            )
        rungs.append(list(zip(trials, found, strict=True)))
        promoted = set(promote(search.plan, found, budget=search.config.budget))
        trials = [trial for trial in trials if trial.trial_id in promoted]
    stretches = [int(steps) for steps in np.diff(search.plan.rungs, prepend=0)]
    seconds = sum(result.train_seconds for rung in rungs for _, result in rung)
    step_secs = seconds / sum(len(rung) * steps for rung, steps in zip(rungs, stretches, strict=True))
    stages = [
        [_event(trial, result, seconds=steps * step_secs) for trial, result in rung]
        for rung, steps in zip(rungs, stretches, strict=True)
    ]
    return stages, step_secs


def random_events(
    search: Search, *, store: TrialStore, steps: int, step_secs: float, seed: int, say: Callable[[str], object]
) -> list[Event]:
    """Trains trials in random order, each to the end, as many as `steps` steps allow.

    Args:
        search: space and features.
        store: of the random search alone; what it holds is not trained again.
        steps: of all trials together; the nearest number of whole trainings is done, at least one.
        step_secs: what a step counts.
        seed: of the order.
        say: is told what is trained.
    """
    # One rung, from the start to the end; the trials keep their ids and the schedule of their learning rate.
    plan = search.plan.model_copy(update={"rungs": search.plan.rungs[-1:]})
    draws = [plan.trials[index] for index in np.random.default_rng(seed).permutation(len(plan.trials))]
    draws = draws[: max(1, round(steps / plan.rungs[-1]))]
    say(f"random search: {len(draws)} trials of {plan.rungs[-1]:,} steps")
    results = train_rung(
        plan, trial_ids=[trial.trial_id for trial in draws], rung=0, features_dir=str(search.features), store=store,
        config=search.config, jobs=search.jobs,
    )  # fmt: skip
    whole_secs = plan.rungs[-1] * step_secs
    return [_event(trial, result, seconds=whole_secs) for trial, result in zip(draws, results, strict=True)]


def _event(trial: Trial, result: RungResult, *, seconds: float) -> Event:
    return Event(trial.trial_id, trial.estimated_bytes, seconds, result.validation_loss)


@dataclasses.dataclass(frozen=True, eq=False)
class Comparison:
    """Curves of both methods over the same seconds; hypervolumes are shares of that of all models together."""

    instrument: str
    limits: list[int]
    halving: Curves
    random: Curves


def compared(
    stages: Sequence[Sequence[Event]],
    drawn: Sequence[Event],
    *,
    instrument: str,
    limits: list[int],
    n_orders: int,
    seed: int,
) -> Comparison:
    """Both methods up to the training seconds that halving took.

    Raises:
        TinyTimbreError: no model was found at all.
    """
    everything = [event for stage in stages for event in stage] + list(drawn)
    done = [event for event in everything if event.validation_loss is not None]
    if not done:
        raise TinyTimbreError("a comparison needs models", got=f"all {len(everything)} trainings failed")
    sizes = np.array([event.n_bytes for event in done], float)
    losses = np.array([event.validation_loss for event in done], float)
    # A tenth above the largest size, else the largest model could never count.
    reference = (round(1.1 * sizes.max()), float(losses.max()))
    whole = hypervolume(sizes, losses, reference=reference) or 1.0
    spent = sum(event.train_seconds for stage in stages for event in stage)
    # The last point lies a hair behind the last event, which rounding must not cut off.
    seconds = np.linspace(0, spent * (1 + 1e-9), TIMES)
    common = {"seconds": seconds, "limits": limits, "reference": reference}
    both = [
        curves(orders(of_method, count=n_orders, seed=seed), **common)  # type: ignore[arg-type]
        for of_method in (stages, [drawn])
    ]
    halving, random = (dataclasses.replace(own, hypervolume=own.hypervolume / whole) for own in both)
    return Comparison(instrument, limits, halving, random)


def summary(
    comparison: Comparison, plan: SweepPlan, *, stages: Sequence[Sequence[Event]], drawn: Sequence[Event]
) -> dict[str, Any]:
    """The figures: what each method had found at equal compute, and when halving had caught up with random search."""
    halving, random = comparison.halving, comparison.random
    spent = float(halving.seconds[-1])
    stretches = np.diff(plan.rungs, prepend=0).tolist()
    goal = float(interval(random.hypervolume)[1, -1])
    caught_up = reached_at(halving.seconds, interval(halving.hypervolume)[1], goal=goal)
    return {
        "instrument": comparison.instrument,
        "compute_secs": round(spent, 1),
        "halving_trials": [len(stage) for stage in stages],
        "halving_steps": sum(len(stage) * steps for stage, steps in zip(stages, stretches, strict=True)),
        "random_trials": len(drawn),
        "random_steps": len(drawn) * plan.rungs[-1],
        "hypervolume": {"halving": _at_end(halving.hypervolume), "random": _at_end(random.hypervolume)},
        "halving_reaches_random_at_share": None if caught_up is None else round(caught_up / spent, 3),
        "best_loss": [
            {
                "max_bytes": limit,
                "halving": _at_end(halving.losses[:, index]),
                "random": _at_end(random.losses[:, index]),
            }
            for index, limit in enumerate(comparison.limits)
        ],
    }


def _at_end(values: np.ndarray) -> list[float | None]:
    """Low, middle and high of [orders, times] at the last time; None where nothing was found."""
    return [round(float(value), 4) if np.isfinite(value) else None for value in interval(values)[:, -1]]


def table(figures: dict[str, Any]) -> str:
    """The figures for reading; medians with the 5 to 95 % range over orders."""
    rungs = " → ".join(map(str, figures["halving_trials"]))
    lines = [
        f"{figures['instrument']}: {figures['compute_secs']:.0f} training seconds each; halving: {rungs} trials, "
        f"{figures['halving_steps']:,} steps; "
        f"random search: {figures['random_trials']}, each to the end, {figures['random_steps']:,} steps",
        f"{'':34} {'halving':>22} {'random':>22}",
        _row("hypervolume, share of all found", figures["hypervolume"]),
    ]
    lines += [_row(f"best loss, at most {row['max_bytes'] / 1e3:.1f} kB", row) for row in figures["best_loss"]]
    share = figures["halving_reaches_random_at_share"]
    reached = "never" if share is None else f"after {share:.0%} of the compute"
    return "\n".join([*lines, f"halving's hypervolume reaches random search's final one {reached}"])


def _row(label: str, values: dict[str, list[float | None]]) -> str:
    cells = []
    for method in ("halving", "random"):
        low, middle, high = ("none" if value is None else f"{value:.3f}" for value in values[method])
        cells.append(f"{middle} ({low} … {high})")
    return f"{label:34} {cells[0]:>22} {cells[1]:>22}"


def prepare(args: argparse.Namespace) -> tuple[Search, TrialStore]:
    """Plan and features, and the store of the sweep.

    Raises:
        TinyTimbreError: the workspace has no such features.
    """
    from pipelines.lineage import History
    from pipelines.workspace import Workspace
    from tinytimbre.features.artifact import load_index

    config, workspace = load_config(args.config), Workspace(args.workspace).require()
    found = History.read(workspace.metadata).latest("Features")
    index = load_index(found["uri"]) if found else None
    fits = index is not None and args.instrument in index.fingerprints
    if index is None or found is None or not fits or index.frame_rate_hz != config.features.frame_rate_hz:
        raise TinyTimbreError(
            "the workspace must hold features of the instrument at the configuration's frame rate",
            got="none" if index is None else f"{', '.join(index.fingerprints)} at {index.frame_rate_hz:g} per second",
            remedy=f"tinytimbre run {args.config} --workspace {args.workspace} --instrument {args.instrument}",
        )
    plan = plan_sweep(config, fingerprints={args.instrument: index.fingerprints[args.instrument]})
    return Search(plan, config, pathlib.Path(found["uri"]), args.jobs), TrialStore(workspace.trials)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=pathlib.Path)
    parser.add_argument("workspace", type=pathlib.Path, help="in which this sweep has run to its end")
    parser.add_argument("--instrument", required=True)
    parser.add_argument(
        "--work", type=pathlib.Path, default=pathlib.Path("workspaces/search"), help="for the random search"
    )
    parser.add_argument("--chart", type=pathlib.Path, default=pathlib.Path("docs/search.png"))
    parser.add_argument("--times", type=positive_float, default=1.0, help="random search gets this times the compute")
    parser.add_argument("--orders", type=positive_int, default=20, help="of the same trainings, for the interval")
    parser.add_argument("--seed", type=int, default=0, help="of random search and of the orders")
    parser.add_argument("--jobs", type=positive_int, default=len(os.sched_getaffinity(0)))
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Trains what is missing, draws the chart and prints the figures; gives the exit code."""
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    args = _arguments(argv)
    return exit_code(lambda: _measure(args))


def _measure(args: argparse.Namespace) -> int:
    from benchmarks.search_chart import draw
    from pipelines.terminal import terminal

    search, swept = prepare(args)
    stages, step_secs = halving_events(search, store=swept)
    spent = sum(event.train_seconds for stage in stages for event in stage)
    with terminal(verbose=False, log=args.work / "search.log") as screen:
        drawn = random_events(
            search, store=TrialStore(args.work.resolve() / "trials"), steps=round(args.times * spent / step_secs),
            step_secs=step_secs, seed=args.seed, say=screen.messages.print,
        )  # fmt: skip
    limits = size_limits([(trial.stratum, trial.estimated_bytes) for trial in search.plan.trials])
    comparison = compared(
        stages, drawn, instrument=args.instrument, limits=limits, n_orders=args.orders, seed=args.seed
    )
    draw(comparison, output=args.chart)
    figures = summary(comparison, search.plan, stages=stages, drawn=drawn)
    print(table(figures))
    print(f"chart: {args.chart}")
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
