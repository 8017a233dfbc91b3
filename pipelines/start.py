"""Where the command ``tinytimbre`` begins: Ctrl-C ends it without a traceback from its first moment on.

Importing even the light half of the program takes a tenth of a second, in which nobody could handle an interrupt.
"""

import signal

signal.signal(signal.SIGINT, signal.SIG_DFL)


def main() -> int:
    """Runs the command line; gives its exit code."""
    from pipelines.cli import main as run_command

    signal.signal(signal.SIGINT, signal.default_int_handler)
    return run_command()
