"""Start a sweep on Kubeflow Pipelines."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from pipelines.commands import compile as compile_command
from pipelines.kubeflow.address import add_cluster_arguments, chosen_host, chosen_namespace, run_page
from tinytimbre.config import load_config

if TYPE_CHECKING:
    from pipelines.kubeflow.submission import Order

PARAMETERS = ("recordings", "recordings_digest", "publish_to", "budget_scale")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to run, where, and what this run chooses."""
    compile_command.add_pipeline_arguments(parser)
    add_cluster_arguments(parser)
    parser.add_argument("--pipeline-root", default="", metavar="URL", help="for artifacts: s3://, gs:// or minio://")
    parser.add_argument("--recordings", metavar="PLACE", help="where the pods find them (default: on the volume)")
    parser.add_argument(
        "--recordings-digest", required=True, metavar="TEXT", help="any; results of the same text are reused"
    )
    parser.add_argument("--publish-to", metavar="PLACE", help="where the pods publish (default: on the volume)")
    parser.add_argument("--budget-scale", type=float, metavar="X", help="multiplies the steps of every rung")
    parser.add_argument("--experiment", default="tinytimbre", metavar="NAME", help="groups runs (%(default)s)")
    parser.add_argument("--run-name", metavar="NAME", help="default: name of the configuration and digest")


def run(args: argparse.Namespace) -> int:
    """Compiles, uploads what is not there yet, starts the run; says where it can be seen."""
    from pipelines.terminal import terminal

    config, host = load_config(args.config), chosen_host(args)
    with terminal(verbose=args.verbose) as screen:
        from pipelines.kubeflow.connection import connect
        from pipelines.kubeflow.submission import check_order, submit

        order = _order(args, sweep=config.name)
        check_order(order)
        client = connect(host, namespace=chosen_namespace(args))
        # TFX takes seconds to start; a wrong host is told before.
        from pipelines.kubeflow.compiler import compile_pipeline

        compiled = compile_pipeline(config, image=args.image, shards=args.shards)
        run_id = submit(client, compiled.to_yaml(), order)
        lines = [
            f"run: {run_id}",
            *([f"page: {run_page(host, run_id)}"] if host else []),
            f"next: tinytimbre status {run_id}{f' --host {host}' if args.host else ''}",
        ]
        for line in lines:
            screen.results.print(line, markup=False, highlight=False, soft_wrap=True)
    return 0


def _order(args: argparse.Namespace, *, sweep: str) -> Order:
    from pipelines.kubeflow.submission import Order

    given = {name: getattr(args, name) for name in PARAMETERS if getattr(args, name) is not None}
    return Order(
        name=args.run_name or f"{sweep}-{args.recordings_digest}",
        experiment=args.experiment,
        sweep=sweep,
        pipeline_root=args.pipeline_root,
        parameters=given,
    )
