"""Finished sweeps as what the repository shows: tables, pictures and figures (`make findings`).

    python -m benchmarks.findings workspaces/flute workspaces/violin … [--output docs] [--into README.md] [--keep DIR]

Reads the tables of every finished sweep in the workspaces (a search and its finals, see `benchmarks.finals`), or of
folders that ``--keep`` wrote, and writes ``findings.md``, ``findings.json``, ``fronts.png``, ``settings.png``,
``size.png`` and ``rungs.png`` into the output. Of a document that is there already only the marked parts are written
anew, the rest is a person's (`benchmarks.findings.blocks`). The same sweeps give the same bytes.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import sys
from collections.abc import Sequence

from benchmarks.findings.blocks import refresh, refreshed, skeleton
from benchmarks.findings.findings import Findings, findings
from benchmarks.findings.sweeps import keep, read_sweeps
from benchmarks.findings.text import HEADINGS, PICTURES, blocks
from benchmarks.options import exit_code
from tinytimbre.durable import write_whole

DOCUMENT, RECORD = "findings.md", "findings.json"


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.findings",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("workspaces", nargs="+", type=pathlib.Path, help="the instrument's own before others")
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("docs"), metavar="DIR")
    parser.add_argument(
        "--into", type=pathlib.Path, action="append", default=[], metavar="FILE", help="a document with marked parts"
    )
    parser.add_argument("--keep", type=pathlib.Path, metavar="DIR", help="copies the tables there, to run from later")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Reads, computes, writes; gives the exit code."""
    args = _arguments(argv)
    return exit_code(lambda: _write(args))


def _write(args: argparse.Namespace) -> int:
    from benchmarks.findings.charts import draw_all

    sweeps = read_sweeps(args.workspaces)
    found = findings(sweeps)
    # What stands in a document holds on every machine.
    places = [place.name if place.is_absolute() else place.as_posix() for place in args.workspaces]
    command = f"python -m benchmarks.findings {' '.join(places)}"
    parts = blocks(found, sweeps=sweeps, command=command)
    document = args.output / DOCUMENT
    blank = skeleton("What the sweeps teach", HEADINGS, pictures=PICTURES)
    text = document.read_text(encoding="utf-8") if document.is_file() else blank
    # All documents are checked before anything is written.
    checked = refreshed(text, parts, origin=str(document))
    for path in args.into:
        refreshed(path.read_text(encoding="utf-8"), parts, origin=str(path))
    args.output.mkdir(parents=True, exist_ok=True)
    write_whole(document, checked.encode())
    for path in args.into:
        refresh(path, parts)
    write_whole(args.output / RECORD, record(found).encode())
    pictures = draw_all(found, output=args.output)
    kept = [keep(sweep, args.keep) for sweep in sweeps] if args.keep else []
    for path in (document, args.output / RECORD, *args.into, *pictures, *kept):
        print(path)
    return 0


def record(found: Sequence[Findings]) -> str:
    """Every figure as JSON."""
    values = [
        {
            **one.result.record(),
            "floor": one.floor,
            **{
                name: [vars(entry) for entry in getattr(one, name)]
                for name in ("settings", "best", "steps", "quantisations", "distillation", "frame_rates", "ranks")
            },
        }
        for one in found
    ]
    return json.dumps(values, indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    sys.exit(main())
