"""Play any recording of one voice with a published model."""

from __future__ import annotations

import argparse
import pathlib


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Model, input and output."""
    parser.add_argument("model_dir", type=pathlib.Path, metavar="MODEL_DIR", help="<models>/<instrument>/<version>")
    parser.add_argument("source", type=pathlib.Path, metavar="IN", help="any audio file")
    parser.add_argument("output", type=pathlib.Path, metavar="OUT", help="a .wav or .flac file")


def run(args: argparse.Namespace) -> int:
    """Transfers the timbre and says what was done."""
    from pipelines.terminal import terminal

    with terminal(verbose=args.verbose) as screen:
        from tinytimbre.transfer import transfer_file

        done = transfer_file(args.source, model_dir=args.model_dir, output=args.output)
        screen.results.print(
            f"{args.output}: {done.seconds:.1f} s at {done.sample_rate_hz} Hz; "
            f"moved by {done.octave_shift:+d} octaves, "
            f"level by {done.level_shift_db:+.1f} dB; {done.voiced_share:.0%} of it is tones",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
    return 0
