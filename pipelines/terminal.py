"""What the user sees: results on stdout, progress and messages on stderr, everybody else's chatter in a log.

    with terminal(verbose=False, log=workspace.logs / "run.log") as screen:
        ...                                  # TensorFlow and its friends write to the log
        screen.results.print(table)

Chatter is caught at the file descriptors, since much of it comes from C++ and from other processes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import logging
import os
import pathlib
import sys
from collections.abc import Iterator
from typing import IO

import rich.console

from pipelines.progress import progress_handler

LIBRARY = logging.getLogger("tinytimbre")
PROGRESS = logging.getLogger("tinytimbre.progress")


@dataclasses.dataclass(frozen=True)
class Screen:
    """Consoles that reach the user whatever is redirected."""

    results: rich.console.Console
    messages: rich.console.Console


FILE_WIDTH = 150
"""Columns of tables that go to a file or a pipe, where nobody's window limits them."""


def results_console(file: IO[str] | None = None) -> rich.console.Console:
    """A console for results on stdout, or on `file`."""
    width = None if (file or sys.stdout).isatty() else FILE_WIDTH
    return rich.console.Console(file=file, width=width)


@contextlib.contextmanager
def terminal(*, verbose: bool, log: pathlib.Path | None = None) -> Iterator[Screen]:
    """Redirects stdout and stderr to `log` (None: nowhere) unless `verbose`, and shows progress."""
    with contextlib.ExitStack() as stack:
        if verbose:
            screen = Screen(results_console(), rich.console.Console(stderr=True))
        else:
            screen = stack.enter_context(_redirected(pathlib.Path(os.devnull) if log is None else log))
        stack.enter_context(_listening(screen.messages))
        yield screen


class _Forgiving(io.TextIOBase):
    """A stream to a log that never fails its writer.

    Beam prints a worker's error before it passes it on: were the disk full, printing would raise, the error would
    be lost and the run would wait for ever.
    """

    def __init__(self, descriptor: int) -> None:
        self._file = os.fdopen(os.dup(descriptor), "w", buffering=1, errors="backslashreplace")
        self._descriptor = descriptor

    def write(self, text: str) -> int:
        """Writes what it can."""
        with contextlib.suppress(OSError):
            self._file.write(text)
        return len(text)

    def flush(self) -> None:
        """Writes what it can."""
        with contextlib.suppress(OSError):
            self._file.flush()

    def fileno(self) -> int:
        """For libraries that dump to the descriptor itself."""
        return self._descriptor


@contextlib.contextmanager
def _redirected(log: pathlib.Path) -> Iterator[Screen]:
    log.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    # Duplicates are not inherited: a process left over from a killed run does not hold the user's pipe open.
    out, err = os.dup(1), os.dup(2)
    with log.open("ab") as file, os.fdopen(out, "w") as results, os.fdopen(err, "w") as messages:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        before = sys.stdout, sys.stderr
        sys.stdout, sys.stderr = _Forgiving(1), _Forgiving(2)
        try:
            yield Screen(results_console(results), rich.console.Console(file=messages))
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            sys.stdout, sys.stderr = before
            results.flush()
            messages.flush()
            os.dup2(out, 1)
            os.dup2(err, 2)


class _Messages(logging.Handler):
    """The library's warnings, as they come."""

    def __init__(self, console: rich.console.Console) -> None:
        super().__init__(logging.WARNING)
        self.console = console

    def emit(self, record: logging.LogRecord) -> None:
        """Prints one message."""
        self.console.print(f"note: {record.getMessage()}", markup=False, highlight=False, soft_wrap=True)


@contextlib.contextmanager
def _listening(console: rich.console.Console) -> Iterator[None]:
    messages = _Messages(console)
    with progress_handler(console) as progress:
        LIBRARY.addHandler(messages)
        PROGRESS.addHandler(progress)
        LIBRARY.setLevel(logging.INFO)
        LIBRARY.propagate = PROGRESS.propagate = False
        try:
            yield
        finally:
            LIBRARY.removeHandler(messages)
            PROGRESS.removeHandler(progress)
