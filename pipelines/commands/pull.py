"""Fetch demonstration recordings, pinned by version and hash."""

from __future__ import annotations

import argparse
import pathlib

SOURCES = pathlib.Path(__file__).resolve().parents[2] / "data" / "sources" / "quickstart.yaml"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where to and what."""
    parser.add_argument("--to", type=pathlib.Path, default=pathlib.Path("recordings"), metavar="DIR")
    parser.add_argument(
        "--instrument",
        nargs="+",
        action="extend",
        metavar="NAME",
        help="of the list (default: those of the demonstration)",
    )
    parser.add_argument("--sources", type=pathlib.Path, default=SOURCES, metavar="FILE", help="another list of sources")


def run(args: argparse.Namespace) -> int:
    """Fetches what is missing and shows licences and attribution."""
    from pipelines.terminal import terminal
    from tinytimbre.audio.sources import pull

    with terminal(verbose=args.verbose) as screen:
        pulled = pull(args.to, sources=args.sources, instruments=args.instrument)
        screen.results.print(f"{', '.join(pulled.instruments)} in {args.to}", highlight=False, markup=False)
        for line in pulled.attributions:
            screen.results.print(f"  {line}", highlight=False, markup=False, soft_wrap=True)
        screen.results.print("next: tinytimbre run configs/quickstart.yaml", highlight=False)
    return 0
