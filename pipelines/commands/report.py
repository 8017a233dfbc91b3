"""Write the HTML report of a finished sweep again."""

from __future__ import annotations

import argparse
import pathlib

from pipelines.commands import options
from pipelines.workspace import Workspace, make_folder
from tinytimbre.errors import TinyTimbreError

FIGURE_SUFFIXES = (".png", ".svg", ".pdf")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which sweep, and where to."""
    options.add_workspace_argument(parser)
    parser.add_argument("--output", type=pathlib.Path, metavar="FILE", help="default: <workspace>/report.html")
    parser.add_argument(
        "--figure", type=pathlib.Path, metavar="FILE", help="also draw quality versus size (png, svg, pdf)"
    )


def run(args: argparse.Namespace) -> int:
    """Builds the page from the tables of the last finished run."""
    from pipelines.commands.outcome import outcome
    from pipelines.lineage import History
    from pipelines.terminal import terminal
    from tinytimbre.config import load_config
    from tinytimbre.report.figure import write_figure
    from tinytimbre.report.html import write_report

    workspace = Workspace(args.workspace).require()
    output = args.output or workspace.report
    _check_outputs(output, args.figure)
    with terminal(verbose=args.verbose) as screen:
        found = outcome(History.read(workspace.metadata))
        title = f"TinyTimbre: {load_config(workspace.config).name}"
        write_report(found.tables, output=output, title=title, recordings=found.sweep.recordings)
        screen.results.print(str(output), markup=False, highlight=False, soft_wrap=True)
        if args.figure:
            write_figure(found.tables, output=args.figure)
            screen.results.print(str(args.figure), markup=False, highlight=False, soft_wrap=True)
    return 0


def _check_outputs(output: pathlib.Path, figure: pathlib.Path | None) -> None:
    """Refuses what could not be written, before any work is done.

    Raises:
        TinyTimbreError: a folder instead of a file, a folder that cannot be written, an unknown kind of figure.
    """
    if figure is not None and figure.suffix.lower() not in FIGURE_SUFFIXES:
        raise TinyTimbreError(
            f"--figure must end in {', '.join(FIGURE_SUFFIXES)}", got=str(figure), remedy="change the extension"
        )
    for path in (output, *([figure] if figure else [])):
        if path.is_dir():
            raise TinyTimbreError("the output must be a file", got=f"{path} is a folder", remedy="add a file name")
        make_folder(path.resolve().parent, purpose="the place of the output")
