"""Quality against training time, successive halving beside plain random search at equal compute: `make bench-search`.

Halving is the sweep of a finished workspace, read from its trial store. Random search takes configurations of the same
space in seeded random order and trains each from the start to the last rung, on the same features and with the same
trainer, until it has spent the training seconds of the sweep. Interrupted, the same command continues. Writes a chart;
the last line is JSON.
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
    next_draws,
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


def halving_events(search: Search, *, store: TrialStore) -> list[list[Event]]:
    """What each rung of a finished sweep cost and found.

    Raises:
        TinyTimbreError: a rung is not finished.
    """
    trials, stages = list(search.plan.trials), []
    for rung in range(len(search.plan.rungs)):
        found = [result for trial in trials if (result := store.result(trial.trial_id, rung))]
        if len(found) < len(trials):
            raise TinyTimbreError(
                "the sweep of the workspace must have trained all rungs of this configuration",
                got=f"{len(found)} of {len(trials)} trials of rung {rung} in {store.address}",
                remedy="run it to its end with the same configuration, in one go so that its seconds are whole",
            )
        stages.append([_event(trial, result) for trial, result in zip(trials, found, strict=True)])
        promoted = set(promote(search.plan, found, budget=search.config.budget))
        trials = [trial for trial in trials if trial.trial_id in promoted]
    return stages


def random_events(
    search: Search, *, store: TrialStore, goal_secs: float, mean_secs: float, seed: int, say: Callable[[str], object]
) -> list[Event]:
    """Trains trials in random order, each to the end, until they have cost `goal_secs`.

    Args:
        search: space and features.
        store: of the random search alone; what it holds is not trained again.
        goal_secs: of training, in total.
        mean_secs: what a whole training costs, to train as many together as will be needed.
        seed: of the order.
        say: is told how far it is.
    """
    # One rung, from the start to the end; the trials keep their ids and the schedule of their learning rate.
    plan = search.plan.model_copy(update={"rungs": search.plan.rungs[-1:]})
    draws = [plan.trials[index] for index in np.random.default_rng(seed).permutation(len(plan.trials))]
    most = search.jobs * search.config.training.side_by_side
    _drop_unfinished(draws, store=store)
    events: list[Event] = []
    while (spent := sum(event.train_seconds for event in events)) < goal_secs and len(events) < len(draws):
        left_secs = goal_secs - spent
        count = next_draws(left_secs=left_secs, mean_secs=mean_secs, most=most, multiple_of=search.jobs)
        batch = draws[len(events) : len(events) + count]
        say(f"random search: {spent:.0f} of {goal_secs:.0f} training seconds, {len(events)} trials; {len(batch)} more")
        results = train_rung(
            plan, trial_ids=[trial.trial_id for trial in batch], rung=0, features_dir=str(search.features),
            store=store, config=search.config, jobs=search.jobs,
        )  # fmt: skip
        events += [_event(trial, result) for trial, result in zip(batch, results, strict=True)]
        mean_secs = sum(event.train_seconds for event in events) / len(events)
    return events


def _drop_unfinished(trials: Sequence[Trial], *, store: TrialStore) -> None:
    """A result counts the seconds since its training was last resumed: what was interrupted starts anew."""
    for trial in trials:
        if store.result(trial.trial_id, 0) is None:
            store.drop(trial.trial_id)


def _event(trial: Trial, result: RungResult) -> Event:
    return Event(trial.trial_id, trial.estimated_bytes, result.train_seconds, result.validation_loss)


def whole_training_secs(stages: Sequence[Sequence[Event]]) -> float:
    """Mean seconds from the first step to the last, of the trials that got there."""
    finalists = {event.trial_id for event in stages[-1]}
    seconds = sum(event.train_seconds for stage in stages for event in stage if event.trial_id in finalists)
    return seconds / max(1, len(finalists))


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
        "random_trained_secs": round(sum(event.train_seconds for event in drawn), 1),
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
    stages = halving_events(search, store=swept)
    spent = sum(event.train_seconds for stage in stages for event in stage)
    with terminal(verbose=False, log=args.work / "search.log") as screen:
        drawn = random_events(
            search, store=TrialStore(args.work.resolve() / "trials"), goal_secs=args.times * spent,
            mean_secs=whole_training_secs(stages), seed=args.seed, say=screen.messages.print,
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
