"""Check an installation: a tiny sweep on made-up notes, its model played by a browser."""

from __future__ import annotations

import argparse
import contextlib
import io
import pathlib
import tempfile
from typing import TYPE_CHECKING

from pipelines.commands import run as run_command
from tinytimbre.errors import TinyTimbreError

if TYPE_CHECKING:
    from tinytimbre.validation.jobs import Validation

CONFIG = pathlib.Path(__file__).resolve().parents[2] / "configs" / "smoke.yaml"
INSTRUMENT = "reed"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing to choose but how many processes."""
    parser.add_argument("--jobs", type=int, metavar="N", help="processes at a time (default: all processors)")


def run(args: argparse.Namespace) -> int:
    """Runs the sweep in a folder of its own, which is deleted; 0 where the same numbers come out everywhere."""
    from pipelines.terminal import results_console
    from tinytimbre.audio.example import make_recordings

    # What the sweep tells of is deleted with it.
    told = io.StringIO()
    with tempfile.TemporaryDirectory(prefix="tinytimbre-smoke-") as name:
        folder = pathlib.Path(name)
        make_recordings(folder / "recordings", instruments=(INSTRUMENT,))
        with contextlib.redirect_stdout(told):
            code = run_command.run(_sweep(args, folder))
        if code:
            results_console().print(told.getvalue(), markup=False, highlight=False)
            return code
        found = _validation(folder / "published")
    if found.runtime != "browser" or found.failure:
        raise TinyTimbreError(
            "a published model must play in a browser as in TensorFlow",
            got=found.failure or found.why_not_browser,
            remedy="see web/README.md" if found.failure else "apt-get install chromium, or CHROMIUM=/path/to/it",
        )
    errors = ", ".join(f"{backend} {error:.1e}" for backend, error in sorted(found.tfjs_errors.items()))
    results_console().print(
        f"all is well: in {found.version}, controls differ from TensorFlow's by {errors} and WebAssembly "
        f"{found.engine_error:.1e}",
        highlight=False,
    )
    return 0


def _sweep(args: argparse.Namespace, folder: pathlib.Path) -> argparse.Namespace:
    """The arguments of `tinytimbre run`."""
    return argparse.Namespace(
        config=CONFIG,
        recordings=folder / "recordings",
        instrument=None,
        workspace=folder / "workspace",
        publish_to=str(folder / "published"),
        jobs=args.jobs,
        verbose=args.verbose,
    )


def _validation(published: pathlib.Path) -> Validation:
    from tinytimbre.export.publish import read_index
    from tinytimbre.validation.bundles import validate_bundles

    model = published / INSTRUMENT / read_index(published)["instruments"][INSTRUMENT]["latest"]
    [(_, found)] = validate_bundles([model])
    return found
