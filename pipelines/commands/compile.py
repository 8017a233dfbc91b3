"""Compile a sweep for Kubeflow Pipelines; runs nothing."""

from __future__ import annotations

import argparse
import os
import pathlib

from tinytimbre.config import load_config
from tinytimbre.durable import write_whole
from tinytimbre.errors import TinyTimbreError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to compile, for which image, where to."""
    add_pipeline_arguments(parser)
    parser.add_argument(
        "--output", type=pathlib.Path, default=pathlib.Path("pipeline.yaml"), metavar="FILE", help="(%(default)s)"
    )


def add_pipeline_arguments(parser: argparse.ArgumentParser) -> None:
    """What decides what is compiled."""
    parser.add_argument("config", type=pathlib.Path, metavar="CONFIG", help="a YAML file, see configs/")
    parser.add_argument("--image", required=True, metavar="IMG", help="container image with this version, with its tag")
    parser.add_argument("--shards", type=int, default=4, metavar="N", help="pods per rung (default: 4)")


def run(args: argparse.Namespace) -> int:
    """Writes the file whole or not at all."""
    from pipelines.terminal import terminal

    config = load_config(args.config)
    _check_output(args.output)
    with terminal(verbose=args.verbose) as screen:
        from pipelines.kubeflow.compiler import compile_pipeline

        compiled = compile_pipeline(config, image=args.image, shards=args.shards)
        content = compiled.to_yaml()
        write_whole(args.output, content)
        screen.results.print(
            f"{args.output}: {compiled.n_tasks} tasks, {len(content) / 1024:.0f} KiB",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
    return 0


def _check_output(path: pathlib.Path) -> None:
    """Before the seconds that TFX takes to start.

    Raises:
        TinyTimbreError: Kubeflow would not know the file, or its folder cannot be written.
    """
    if path.suffix not in (".yaml", ".yml"):
        raise TinyTimbreError("--output must end in .yaml: Kubeflow goes by the name", got=str(path))
    if path.is_dir():
        raise TinyTimbreError("--output must be a file", got=f"{path} is a folder", remedy=f"{path / 'pipeline.yaml'}")
    if not path.parent.is_dir():
        raise TinyTimbreError(
            "the folder of --output must exist", got=str(path.parent), remedy=f"mkdir -p {path.parent}"
        )
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise TinyTimbreError("the folder of --output must be writable", got=str(path.parent))
