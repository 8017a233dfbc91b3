"""Options that several commands share, and what they mean."""

from __future__ import annotations

import argparse
import os
import pathlib

from pipelines.workspace import Workspace
from tinytimbre.config import SweepConfig, load_config
from tinytimbre.errors import TinyTimbreError

MAX_JOBS = 256


def add_sweep_arguments(parser: argparse.ArgumentParser) -> None:
    """A configuration and the recordings it is applied to."""
    parser.add_argument("config", type=pathlib.Path, metavar="CONFIG", help="a YAML file, see configs/")
    parser.add_argument(
        "--recordings",
        type=pathlib.Path,
        default=pathlib.Path("recordings"),
        metavar="DIR",
        help="a folder per instrument, or a manifest (default: recordings)",
    )
    parser.add_argument(
        "--instrument", nargs="+", action="extend", metavar="NAME", help="only these (default: all that are found)"
    )
    parser.add_argument(
        "--workspace", type=pathlib.Path, metavar="DIR", help="default: workspaces/<name of the configuration>"
    )
    parser.add_argument("--jobs", type=int, metavar="N", help="processes at a time (default: all processors)")


def add_workspace_argument(parser: argparse.ArgumentParser) -> None:
    """The workspace of a run."""
    parser.add_argument("workspace", type=pathlib.Path, metavar="WORKSPACE", help="where `tinytimbre run` worked")


def configuration(args: argparse.Namespace) -> SweepConfig:
    """The configuration with the instruments of the command line."""
    config = load_config(args.config)
    return config.model_copy(update={"instruments": tuple(args.instrument)}) if args.instrument else config


def workspace(args: argparse.Namespace, config: SweepConfig) -> Workspace:
    """The workspace named, or the default one."""
    return Workspace(args.workspace or pathlib.Path("workspaces") / config.name)


def jobs(args: argparse.Namespace) -> int:
    """Processes at a time.

    Raises:
        TinyTimbreError: less than one, or more than any machine has.
    """
    if args.jobs is None:
        return len(os.sched_getaffinity(0))
    if not 1 <= args.jobs <= MAX_JOBS:
        raise TinyTimbreError(
            f"--jobs must be at least 1 and at most {MAX_JOBS}", got=str(args.jobs), remedy="leave it out to use all"
        )
    return int(args.jobs)
