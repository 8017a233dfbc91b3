"""Fetch the report and the models of a run on Kubeflow."""

from __future__ import annotations

import argparse
import pathlib
from typing import TYPE_CHECKING

from pipelines.kubeflow.address import add_cluster_arguments, chosen_namespace, find_run
from pipelines.workspace import Workspace, make_folder
from tinytimbre.durable import write_whole
from tinytimbre.errors import TinyTimbreError

if TYPE_CHECKING:
    from pipelines.kubeflow.results import Results
    from pipelines.terminal import Screen

NOTHING_ACCEPTABLE = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which run, and where to."""
    parser.add_argument("run_id", metavar="RUN", help="id, or address of its page, as `tinytimbre submit` prints them")
    add_cluster_arguments(parser)
    parser.add_argument("--workspace", type=pathlib.Path, required=True, metavar="DIR", help="gets the report")
    parser.add_argument("--publish-to", type=pathlib.Path, metavar="DIR", help="default: <workspace>/models")
    parser.add_argument("--pipeline-root", metavar="URL", help="default: the one that the run was started with")


def run(args: argparse.Namespace) -> int:
    """Downloads what is missing; the same command continues what was interrupted."""
    from pipelines.terminal import terminal

    address = find_run(args.run_id, args=args)
    if address is None:
        raise TinyTimbreError(
            "fetch needs a run on Kubeflow", got=args.run_id, remedy="an id or the address of a run's page"
        )
    workspace = Workspace(args.workspace)
    publish_to = args.publish_to or workspace.models
    with workspace.locked(), terminal(verbose=args.verbose) as screen:
        from pipelines.kubeflow.connection import connect
        from pipelines.kubeflow.results import check_finished, fetch_results
        from pipelines.kubeflow.runs import read_run

        make_folder(publish_to, purpose="the place to publish to")
        found = read_run(connect(address.host, namespace=chosen_namespace(args)), address.run_id)
        check_finished(found)
        results = fetch_results(
            found, root=args.pipeline_root or found.pipeline_root, folder=workspace.root / "runs" / found.run_id
        )
        write_whole(workspace.report, results.report.read_bytes())
        return _publish(results, publish_to, workspace, screen)


def _publish(results: Results, to: pathlib.Path, workspace: Workspace, screen: Screen) -> int:
    published = results.publish(to)
    lines = [f"published: {instrument} → {path}" for instrument, path in published.items()]
    for line in [*(lines or ["the run published nothing: no model was good enough"]), f"report: {workspace.report}"]:
        screen.results.print(line, markup=False, highlight=False, soft_wrap=True)
    return 0 if published else NOTHING_ACCEPTABLE
