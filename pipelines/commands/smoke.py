"""Check an installation: a tiny sweep on made-up notes, its model played by Node and by a browser."""

from __future__ import annotations

import argparse
import contextlib
import io
import pathlib
import tempfile

from pipelines.commands import run as run_command
from tinytimbre.errors import TinyTimbreError

CONFIG = pathlib.Path(__file__).resolve().parents[2] / "configs" / "smoke.yaml"
INSTRUMENT, FRAMES = "reed", 50
TOLERANCE = 1e-4
"""Controls are float32 numbers of the order of 1, summed in another order."""


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
        difference = _difference(folder / "published")
    if not difference <= TOLERANCE:
        raise TinyTimbreError(
            "a model must give the same controls in a browser as in TensorFlow.js",
            got=f"a difference of {difference:.2g}, more than {TOLERANCE:g}",
        )
    results_console().print(f"all is well: browser and TensorFlow.js differ by {difference:.1e}", highlight=False)
    return 0


def _sweep(args: argparse.Namespace, folder: pathlib.Path) -> argparse.Namespace:
    """The arguments of `tinytimbre run`."""
    return argparse.Namespace(
        config=CONFIG,
        recordings=folder / "recordings",
        instrument=None,
        workspace=folder / "workspace",
        publish_to=folder / "published",
        jobs=args.jobs,
        verbose=args.verbose,
    )


def _difference(published: pathlib.Path) -> float:
    """Largest difference between the controls of the browser and of TensorFlow.js in Node, over a rising tone."""
    import numpy as np

    from tinytimbre.export.browser import run_in_browser
    from tinytimbre.export.node import BundleRun, run_bundles
    from tinytimbre.export.publish import read_index

    model = published / INSTRUMENT / read_index(published)["instruments"][INSTRUMENT]["latest"]
    rising = np.linspace(0.4, 0.7, FRAMES, dtype=np.float32)
    inputs = np.stack([rising, rising[::-1]], axis=1)
    [expected] = run_bundles([BundleRun(model, inputs)])
    return float(np.abs(run_in_browser(model, inputs=inputs) - expected).max())
