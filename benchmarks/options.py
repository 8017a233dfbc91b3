"""What the benchmarks' command lines share."""

from __future__ import annotations

import argparse
import math
import signal
import sys
from collections.abc import Callable

from tinytimbre.errors import TinyTimbreError


def positive_int(text: str) -> int:
    """At least 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {text}")
    return number


def positive_float(text: str) -> float:
    """Above 0 and finite."""
    number = float(text)
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"must be a positive number, got {text}")
    return number


def exit_code(measure: Callable[[], int]) -> int:
    """That of a resumable benchmark: its own, 2 for a user's mistake, 130 and 143 where it was interrupted."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        return measure()
    except TinyTimbreError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; the same command continues", file=sys.stderr)
        return 130
