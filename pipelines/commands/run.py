"""Run a sweep: recordings in, published models and a report out."""

from __future__ import annotations

import argparse
import shutil
import time
from typing import TYPE_CHECKING

from pipelines.commands import options
from pipelines.workspace import Workspace, make_place
from tinytimbre.config import SweepConfig

if TYPE_CHECKING:
    from pipelines.lineage import History
    from pipelines.recordings import Inventory
    from pipelines.terminal import Screen

NOTHING_ACCEPTABLE = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to run, on what, where to."""
    options.add_sweep_arguments(parser)
    parser.add_argument("--publish-to", metavar="PLACE", help="folder or address (default: <workspace>/models)")


def run(args: argparse.Namespace) -> int:
    """Checks what can be checked at once, then runs the pipeline; the same command continues what was interrupted."""
    from pipelines.estimate import check_machine, estimate_disk
    from pipelines.recordings import take_inventory
    from pipelines.temporary import temporary_folder
    from pipelines.terminal import terminal
    from tinytimbre.sweep.plan import plan_sweep

    config, jobs = options.configuration(args), options.jobs(args)
    inventory = take_inventory(args.recordings, instruments=config.instruments)
    plan = plan_sweep(config, fingerprints=dict.fromkeys(inventory.instruments, ""))
    check_machine(plan.trials, config=config, jobs=jobs)
    workspace = options.workspace(args, config)
    publish_to = args.publish_to or str(workspace.models)
    with workspace.locked(), temporary_folder(workspace.temporary):
        needed = estimate_disk(plan.trials, config=config, recorded_bytes=inventory.n_bytes)
        workspace.check_room(needed_bytes=needed)
        make_place(publish_to, purpose="the place to publish to")
        workspace.record(config)
        log = workspace.logs / f"{time.strftime('%Y%m%d-%H%M%S')}.log"
        with terminal(verbose=args.verbose, log=log) as screen:
            _announce(screen, config, inventory, workspace)
            from pipelines.local_runner import run_locally

            history = run_locally(
                config,
                workspace=workspace,
                recordings=args.recordings,
                recordings_digest=inventory.digest,
                publish_to=publish_to,
                jobs=jobs,
            )
        return _conclude(history, workspace)


def _announce(screen: Screen, config: SweepConfig, inventory: Inventory, workspace: Workspace) -> None:
    screen.messages.print(
        f"{config.name}: {', '.join(inventory.instruments)}; {inventory.n_files} files, "
        f"{inventory.n_bytes / 1e6:.1f} MB. Workspace {workspace.root}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    screen.messages.print("Starting TensorFlow and TFX …", highlight=False)


def _conclude(history: History, workspace: Workspace) -> int:
    """Table, paths and what to do next."""
    from pipelines.commands.outcome import outcome
    from pipelines.terminal import results_console

    found, console = outcome(history), results_console()
    shutil.copyfile(found.report, workspace.report)
    found.show(console)
    console.print(f"report: {workspace.report}", markup=False, highlight=False, soft_wrap=True)
    console.print(f"next: {found.next_step()}", markup=False, highlight=False, soft_wrap=True)
    return 0 if found.published else NOTHING_ACCEPTABLE
