"""Cut long recordings at their quietest moments into phrases, each a take of its own."""

from __future__ import annotations

import argparse
import pathlib

PHRASE_SECS = 10.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """From where, where to, how long."""
    parser.add_argument("recordings", type=pathlib.Path, metavar="RECORDINGS", help="a folder per instrument")
    parser.add_argument("--to", required=True, type=pathlib.Path, metavar="DIR", help="a new folder")
    parser.add_argument(
        "--secs", type=float, default=PHRASE_SECS, metavar="S", help=f"length of a phrase (default: {PHRASE_SECS:g})"
    )
    parser.add_argument("--instrument", nargs="+", action="extend", metavar="NAME", help="only these (default: all)")


def run(args: argparse.Namespace) -> int:
    """Cuts, and says what became of each instrument."""
    from pipelines.terminal import terminal
    from tinytimbre.audio.phrases import cut

    with terminal(verbose=args.verbose) as screen:
        counts = cut(args.recordings, to=args.to, phrase_secs=args.secs, instruments=args.instrument or ())
        for instrument, (before, after) in sorted(counts.items()):
            screen.results.print(f"{instrument}: {before} recordings, {after} files", highlight=False, markup=False)
        screen.results.print(f"next: tinytimbre run CONFIG --recordings {args.to}", highlight=False, markup=False)
    return 0
