"""Gather the latest published models into one folder to pass on, with the licences of their recordings."""

from __future__ import annotations

import argparse
import pathlib

from pipelines.workspace import check_folder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """From where, and where to."""
    parser.add_argument("places", nargs="+", type=pathlib.Path, metavar="PUBLISHED", help="folders with index.json")
    parser.add_argument("--to", required=True, type=pathlib.Path, metavar="DIR", help="for the page: web/models")


def run(args: argparse.Namespace) -> int:
    """Copies, and prints what went where."""
    from pipelines.terminal import results_console
    from tinytimbre.export.collection import LICENCES_FILE, collect

    check_folder(args.to, purpose="the place to gather models in")
    console = results_console()
    for path in [*collect(args.places, to=args.to), args.to / LICENCES_FILE]:
        console.print(str(path), markup=False, highlight=False, soft_wrap=True)
    return 0
