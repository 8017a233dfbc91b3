"""The command ``tinytimbre``. Imports nothing heavy: ``--help`` answers at once.

Exit codes: 0 done, 1 a fault of the program, 2 something the user can fix, 3 a sweep that ended without a single
acceptable model, 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from types import FrameType

from pipelines.commands import (
    collect,
    cut,
    fetch,
    package,
    plan,
    publish,
    pull,
    render,
    report,
    run,
    smoke,
    status,
    submit,
)  # fmt: skip
from pipelines.commands import compile as compile_command
from tinytimbre import __version__
from tinytimbre.errors import TinyTimbreError

COMMANDS = {
    "pull": pull,
    "cut": cut,
    "run": run,
    "plan": plan,
    "compile": compile_command,
    "submit": submit,
    "fetch": fetch,
    "report": report,
    "publish": publish,
    "render": render,
    "package": package,
    "collect": collect,
    "status": status,
    "smoke": smoke,
}
USER_ERROR, FAULT, INTERRUPTED = 2, 1, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; gives the exit code."""
    _open_closed_streams()
    try:
        args = _parser().parse_args(argv)
        prepare_environment(verbose=args.verbose)
        code = int(args.run(args))
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("\ninterrupted; the same command continues", file=sys.stderr)  # noqa: T201
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has seen enough; Python would complain once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAULT
    except Exception as error:
        return explain(error)
    return code


def _open_closed_streams() -> None:
    """Points closed standard streams to nowhere: else the next file that is opened would take their place."""
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free descriptor, this one
            setattr(sys, name, os.fdopen(descriptor, "r" if name == "stdin" else "w"))


def _parser() -> argparse.ArgumentParser:
    # Each command has -v too, so that it can stand behind the command; SUPPRESS keeps one from resetting the other.
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "-v", "--verbose", action="store_true", default=argparse.SUPPRESS, help="show what TensorFlow, Beam and TFX say"
    )
    parser = argparse.ArgumentParser(
        prog="tinytimbre",
        description="Recordings of an instrument in, the smallest TensorFlow.js model that still sounds right out.",
        epilog="To start: tinytimbre pull, then tinytimbre run configs/quickstart.yaml",
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="show what TensorFlow, Beam and TFX say")
    parser.add_argument("--version", action="version", version=f"tinytimbre {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, module in COMMANDS.items():
        summary = (module.__doc__ or "").splitlines()[0].rstrip(".")
        command = commands.add_parser(name, parents=[common], help=summary, description=summary + ".")
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return parser


def prepare_environment(*, verbose: bool) -> None:
    """Must come before TensorFlow is imported: ddsp needs Keras 2, and chatter is decided at import."""
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "0" if verbose else "3")
    signal.signal(signal.SIGTERM, _interrupt)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def explain(error: Exception) -> int:
    """Says what went wrong, with a traceback only where it is the program's fault; gives the exit code."""
    from pipelines.failures import as_user_error

    known = error if isinstance(error, TinyTimbreError) else as_user_error(error)
    if known is not None:
        print(f"error: {known}", file=sys.stderr)  # noqa: T201
        return USER_ERROR
    traceback.print_exception(error)
    print("\nThis is a fault of TinyTimbre, not of your input: please report it.", file=sys.stderr)  # noqa: T201
    return FAULT


if __name__ == "__main__":
    sys.exit(main())
