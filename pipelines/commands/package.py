"""Package a published model for a client that exists; the model itself stays as it is."""

from __future__ import annotations

import argparse
import pathlib

PROFILES = ("magenta", "vst", "block")
WITHOUT_ROOM = ("magenta", "vst")
"""Their clients cannot play a model's room."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Model, profile and place."""
    parser.add_argument("model_dir", type=pathlib.Path, metavar="MODEL_DIR", help="<models>/<instrument>/<version>")
    parser.add_argument(
        "--profile",
        required=True,
        choices=PROFILES,
        help="magenta: for the DDSP class of @magenta/music; vst: for DDSP-VST; block: with a graph for offline use",
    )
    parser.add_argument(
        "--to", required=True, type=pathlib.Path, metavar="PATH", help="a folder; for vst a .tflite file"
    )


def run(args: argparse.Namespace) -> int:
    """Writes the files and says where."""
    from pipelines.terminal import terminal
    from tinytimbre.export.settings import read_settings

    with terminal(verbose=args.verbose) as screen:
        written = package(args.model_dir, profile=args.profile, to=args.to)
        size = sum(path.stat().st_size for path in ([written] if written.is_file() else written.iterdir()))
        screen.results.print(f"{written}: {size:,} bytes", markup=False, highlight=False, soft_wrap=True)
        if args.profile in WITHOUT_ROOM and read_settings(args.model_dir).reverb is not None:
            screen.results.print("left out: the model's room, which this client cannot play", highlight=False)
    return 0


def package(model_dir: pathlib.Path, *, profile: str, to: pathlib.Path) -> pathlib.Path:
    """One model in one profile.

    Raises:
        TinyTimbreError: no model there, or the client could not play it.
    """
    from tinytimbre.export.block import export_block
    from tinytimbre.export.bundle import load_bundle
    from tinytimbre.export.magenta import export_magenta
    from tinytimbre.export.vst import export_vst

    if profile == "block":
        return export_block(model_dir, output=to)
    bundle = load_bundle(model_dir)
    if profile == "magenta":
        return export_magenta(bundle, output=to)
    # The plug-in tells models apart by this text; a model's version is as good a name as the time.
    return export_vst(bundle, output=to, export_time=model_dir.resolve().name)
