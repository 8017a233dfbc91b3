"""Show how far a sweep has got, and where its published models come from."""

from __future__ import annotations

import argparse
import collections
from typing import TYPE_CHECKING

from pipelines.commands import options
from pipelines.workspace import Workspace

if TYPE_CHECKING:
    import rich.console

    from pipelines.lineage import History
    from tinytimbre.sweep import TrialStore


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which sweep."""
    options.add_workspace_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Reads MLMD and the trial store; changes nothing, so it may run beside a sweep."""
    from pipelines.lineage import History
    from pipelines.terminal import results_console
    from tinytimbre.sweep.store import TrialStore

    workspace = Workspace(args.workspace).require()
    console = results_console()
    history = History.read(workspace.metadata)
    _stages(history, console, active=workspace.is_locked())
    _trials(TrialStore(workspace.trials), console)
    _models(history, console)
    return 0


def _stages(history: History, console: rich.console.Console, *, active: bool) -> None:
    """The nodes of the last run; RUNNING without a process that holds the workspace means killed."""
    import rich.table

    name = history.latest_run()
    if name is None:
        console.print("no run yet")
        return
    words = {"COMPLETE": "done", "CACHED": "done before", "FAILED": "failed", "CANCELED": "interrupted"}
    words["RUNNING"] = "running" if active else "interrupted"
    table = rich.table.Table("stage", "state", "seconds", title="Last run", title_justify="left")
    for row in history.run(name).to_dict("records"):
        state = str(row["state"])
        seconds = f"{row['ended'] - row['started']:.0f}" if state in ("COMPLETE", "FAILED") else ""
        table.add_row(str(row["node"]), words.get(state, state.lower()), seconds)
    console.print(table)


def _trials(store: TrialStore, console: rich.console.Console) -> None:
    """Counts per rung over everything in the trial store."""
    import rich.table

    counts: dict[int, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    seconds: dict[int, float] = collections.defaultdict(float)
    folders = sorted(path for path in store.root.glob("*") if path.is_dir())
    for folder in folders:
        for result in store.results(folder.name):
            counts[result.rung][result.status] += 1
            seconds[result.rung] += result.train_seconds
    table = rich.table.Table("rung", "done", "failed", "training, s", title="Trials", title_justify="left")
    for rung in sorted(counts):
        table.add_row(str(rung), str(counts[rung]["done"]), str(counts[rung]["failed"]), f"{seconds[rung]:.0f}")
    console.print(table)
    running = sum(store.is_locked(folder.name) for folder in folders)
    console.print(f"{len(folders)} trials, {running} running", highlight=False)


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
