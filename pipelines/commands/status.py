"""Show how far a sweep has got, here or on Kubeflow, and where its published models come from."""

from __future__ import annotations

import argparse
import collections
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipelines.kubeflow.address import RunAddress, add_cluster_arguments, chosen_host, chosen_namespace, find_run
from pipelines.workspace import Workspace

if TYPE_CHECKING:
    import rich.console

    from pipelines.kubeflow.runs import Run, Stage
    from pipelines.lineage import History
    from tinytimbre.sweep import RungResult, SweepPlan, TrialStore
    from tinytimbre.sweep.store import TuningResult


LISTED_RUNS = 20
WORDS = {
    "COMPLETE": "done", "SUCCEEDED": "done", "CACHED": "done before", "SKIPPED": "skipped", "FAILED": "failed",
    "CANCELED": "interrupted", "CANCELING": "being interrupted", "PENDING": "waiting", "RUNNING": "running",
}  # fmt: skip
"""Of MLMD and of Kubeflow."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which sweep."""
    parser.add_argument(
        "sweep",
        nargs="?",
        metavar="WORKSPACE|RUN",
        help="where `tinytimbre run` worked; or the id of a run on Kubeflow, or its page (default: list the runs)",
    )
    add_cluster_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Asks Kubeflow, or reads MLMD and the trial store; changes nothing, so it may run beside a sweep."""
    if args.sweep is None:
        return _list_runs(args)
    address = find_run(args.sweep, args=args)
    return _local(Workspace(args.sweep).require()) if address is None else _remote(address, args)


def _list_runs(args: argparse.Namespace) -> int:
    """The newest runs that the server knows."""
    from pipelines.terminal import terminal

    host = chosen_host(args)
    with terminal(verbose=args.verbose) as screen:
        from pipelines.kubeflow.connection import connect
        from pipelines.kubeflow.runs import latest_runs

        runs = latest_runs(connect(host, namespace=chosen_namespace(args)), limit=LISTED_RUNS)
        _show_runs(runs, screen.results)
    return 0


def _remote(address: RunAddress, args: argparse.Namespace) -> int:
    """One run on Kubeflow."""
    from pipelines.terminal import terminal

    with terminal(verbose=args.verbose) as screen:
        from pipelines.kubeflow.connection import connect
        from pipelines.kubeflow.runs import read_run

        found = read_run(connect(address.host, namespace=chosen_namespace(args)), address.run_id)
        _show_run(found, screen.results, host=address.host)
    return 0


def _show_runs(runs: Sequence[Run], console: rich.console.Console) -> None:
    import rich.table

    table = rich.table.Table("run", "name", "state", "started (UTC)", title="Runs", title_justify="left")
    for found in runs:
        started = f"{found.created:%Y-%m-%d %H:%M}" if found.created else ""
        table.add_row(found.run_id, found.name, _word(found.state), started)
    console.print(table if runs else "no run yet")


def _show_run(found: Run, console: rich.console.Console, *, host: str | None) -> None:
    rows = [(stage.name, stage.state, stage.seconds) for stage in found.stages]
    _table(rows, console, title=f"Run {found.name}: {_word(found.state)}")
    for stage in found.stages:
        if stage.state == "FAILED":
            console.print(_failure(stage), markup=False, highlight=False, soft_wrap=True)
    if found.error:
        console.print(f"the run: {found.error}", markup=False, highlight=False, soft_wrap=True)
    if found.state == "SUCCEEDED":
        server = f" --host {host}" if host else ""
        line = f"next: tinytimbre fetch {found.run_id}{server} --workspace DIR"
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _failure(stage: Stage) -> str:
    said = stage.error or "Kubeflow gives no reason"
    return f"{stage.name}: {said}{''.join(f'; log: kubectl logs {pod}' for pod in stage.pods[-1:])}"


def _word(state: str) -> str:
    return WORDS.get(state, state.lower())


def _table(rows: Sequence[tuple[str, str, float | None]], console: rich.console.Console, *, title: str) -> None:
    """Stages: name, state, seconds where they are known."""
    import rich.table

    table = rich.table.Table("stage", "state", "seconds", title=title, title_justify="left")
    for name, state, seconds in rows:
        table.add_row(name, _word(state), "" if seconds is None else f"{seconds:.0f}")
    console.print(table)


def _local(workspace: Workspace) -> int:
    """A workspace."""
    from pipelines.lineage import History
    from pipelines.terminal import results_console
    from tinytimbre.sweep.store import TrialStore

    console = results_console()
    history = History.read(workspace.metadata)
    _stages(history, console, active=workspace.is_locked())
    _trials(TrialStore(workspace.trials), console)
    plan = _plan(history)
    if plan is not None:
        _ranks(plan, TrialStore(workspace.trials), console)
        _time(plan, history, workspace, console)
    _models(history, console)
    return 0


def _stages(history: History, console: rich.console.Console, *, active: bool) -> None:
    """The nodes of the last run; RUNNING without a process that holds the workspace means killed."""
    name = history.latest_run()
    if name is None:
        console.print("no run yet")
        return
    rows = []
    for row in history.run(name).to_dict("records"):
        state = "CANCELED" if row["state"] == "RUNNING" and not active else str(row["state"])
        seconds = float(row["ended"] - row["started"]) if state in ("COMPLETE", "FAILED") else None
        rows.append((str(row["node"]), state, seconds))
    _table(rows, console, title="Last run")


def _trials(store: TrialStore, console: rich.console.Console) -> None:
    """Counts per stage over everything in the trial store."""
    import rich.table

    results: dict[str, list[RungResult | TuningResult]] = collections.defaultdict(list)
    trial_ids = store.trial_ids()
    for trial_id, own in store.all_results().items():
        student = store.trial(trial_id).distillation is not None
        for result in own:
            results["distillation" if student else f"rung {result.rung}"].append(result)
    for tuned in store.all_tuning_results():
        results[f"fine-tuning, {tuned.key.partition('-')[0]}"].append(tuned)
    table = rich.table.Table("stage", "done", "failed", "training, s", title="Trials", title_justify="left")
    for stage in sorted(results, key=_stage_order):
        of_stage = results[stage]
        done, failed = (str(sum(result.status == status for result in of_stage)) for status in ("done", "failed"))
        table.add_row(stage, done, failed, f"{sum(result.train_seconds for result in of_stage):.0f}")
    console.print(table)
    console.print(f"{len(trial_ids)} trials, {len(store.locked(trial_ids))} running", highlight=False)


def _stage_order(stage: str) -> tuple[bool, bool, int, str]:
    """Rungs by number, then distillation, then fine-tuning."""
    rung = stage.removeprefix("rung ")
    return stage.startswith("fine-tuning"), not rung.isdigit(), int(rung) if rung.isdigit() else 0, stage


def _plan(history: History) -> SweepPlan | None:
    """Of the newest run that got so far; None where there is none or its file is gone."""
    from tinytimbre.sweep.plan import SweepPlan

    found = history.latest("SweepPlan")
    there = found is not None and (pathlib.Path(found["uri"]) / "plan.json").is_file()
    return SweepPlan.load(found["uri"]) if found is not None and there else None


def _ranks(plan: SweepPlan, store: TrialStore, console: rich.console.Console) -> None:
    """Whether the early rungs foretold the last, as far as trials have got there."""
    from tinytimbre.sweep.agreement import BIAS, rank_agreements

    results = store.all_results()
    losses = {
        trial.trial_id: {
            result.rung: result.validation_loss
            for result in results.get(trial.trial_id, ())
            if result.status == "done" and result.validation_loss is not None
        }
        for trial in plan.trials
    }
    strata = {trial.trial_id: (trial.instrument, trial.stratum) for trial in plan.trials}
    found = rank_agreements(losses, strata=strata, last_rung=len(plan.rungs) - 1)
    for one in found:
        console.print(f"{one.instrument}: {one.words()}", markup=False, highlight=False, soft_wrap=True)
    if found:
        console.print(BIAS, markup=False, highlight=False, soft_wrap=True)


def _time(plan: SweepPlan, history: History, workspace: Workspace, console: rich.console.Console) -> None:
    """How much of the workers' time was training, and what the rest was."""
    import rich.table

    from pipelines.timing import sweep_bookkeeping
    from tinytimbre.sweep.accounts import PARTS

    found = sweep_bookkeeping(history, trials=workspace.trials, trial_ids=[trial.trial_id for trial in plan.trials])
    if not found.seconds:
        console.print("no account of the time: trained by an earlier version, or not at all", highlight=False)
        return
    total = sum(found.seconds.values())
    table = rich.table.Table("workers' time in training", title="Where the time went", title_justify="left")
    for name in ("seconds", "share"):
        table.add_column(name, justify="right")
    for part, secs in sorted(found.seconds.items(), key=lambda item: -item[1]):
        table.add_row(PARTS[part], f"{secs:.1f}", f"{secs / total:.1%}")
    console.print(table)
    for stage, secs in found.wall_secs.items():
        console.print(f"wall time of {stage}: {secs:.0f} s", highlight=False)
    console.print(found.words(), highlight=False, soft_wrap=True)


def _models(history: History, console: rich.console.Console) -> None:
    from pipelines.lineage import published_models

    for model in published_models(history):
        console.print(f"[bold]{model.instrument}[/]: {model.published}", highlight=False, soft_wrap=True)
        for line in (
            f"  recordings: {len(model.recording_ids)} ({', '.join(model.recording_ids[:4])}, …)",
            f"  features: {model.features_fingerprint[:16]}",
            f"  trial: {model.trial_id}",
            f"  model: {model.candidate_id}",
            f"  through: {' → '.join(model.artifacts)}",
        ):
            console.print(line, markup=False, highlight=False, soft_wrap=True)
