"""Draws the library's progress records: bars on a terminal, now and then a line elsewhere."""

from __future__ import annotations

import contextlib
import logging
import re
import time
from collections.abc import Iterator

import rich.console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from tinytimbre.progress import ProgressEvent

LINE_EVERY_SECS = 10.0
WITHIN_OTHERS = ("TF.js",)
"""Parts of a stage that has its own bar."""

TITLES = {
    "pull": "Fetching recordings",
    "fetch": "Fetching results",
    "recordings": "Checking recordings",
    "features": "Extracting features",
    "distilling": "Distilling",
    "export": "Exporting to TensorFlow.js",
    "quality": "Measuring quality",
    "report": "Writing the report",
    "listen": "Listening",
    "render": "Rendering",
}


def title(label: str) -> str:
    """How a stage is called on the screen."""
    rung = re.fullmatch(r"training rung (\d+)", label)
    if rung:
        return f"Training, rung {int(rung[1]) + 1}"
    tuned = re.fullmatch(r"tune tuned(\d)", label)
    if tuned:
        return f"Fine-tuning for {tuned[1]} bits"
    takes = re.fullmatch(r"takes of (.+)", label)
    return f"Comparing takes of {takes[1]}" if takes else TITLES.get(label, label)


def shown_event(record: logging.LogRecord) -> ProgressEvent | None:
    """The event to draw; None where there is nothing to count, or where another bar covers it."""
    event = record.__dict__.get("progress")
    if not isinstance(event, ProgressEvent) or event.total <= 0 or event.label in WITHIN_OTHERS:
        return None
    return event


@contextlib.contextmanager
def progress_handler(console: rich.console.Console) -> Iterator[logging.Handler]:
    """A handler for the progress logger that suits the console."""
    if not console.is_terminal:
        yield ProgressLines(console)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[unit]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    # Rich would otherwise catch stdout and stderr itself and show on the terminal what belongs into the log.
    with Progress(*columns, console=console, redirect_stdout=False, redirect_stderr=False) as progress:
        yield ProgressBars(progress)


class ProgressBars(logging.Handler):
    """One bar per stage; a stage that starts anew reuses its bar."""

    def __init__(self, progress: Progress) -> None:
        super().__init__()
        self.progress = progress
        self.tasks: dict[str, TaskID] = {}
        self.done: dict[str, float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Shows one progress record; others are ignored."""
        event = shown_event(record)
        if event is None:
            return
        if event.label not in self.tasks:
            self.tasks[event.label] = self.progress.add_task(title(event.label), total=event.total, unit=event.unit)
        elif event.done < self.done[event.label]:
            self.progress.reset(self.tasks[event.label])
        self.done[event.label] = event.done
        self.progress.update(self.tasks[event.label], completed=event.done, total=event.total)


class ProgressLines(logging.Handler):
    """A line when a stage starts, when it ends, and every ten seconds between."""

    def __init__(self, console: rich.console.Console) -> None:
        super().__init__()
        self.console = console
        self.started: dict[str, tuple[float, float]] = {}
        self.said: dict[str, tuple[float, float]] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Shows one progress record; others are ignored."""
        event = shown_event(record)
        if event is None:
            return
        now = time.monotonic()
        said_at, said_done = self.said.get(event.label, (-LINE_EVERY_SECS, -1.0))
        if event.label not in self.started or event.done < said_done:
            self.started[event.label] = (now, event.done)
        ended = event.done >= event.total and said_done < event.total
        if ended or now - said_at >= LINE_EVERY_SECS:
            self.said[event.label] = (now, event.done)
            self.console.print(self._line(event, now), markup=False, highlight=False)

    def _line(self, event: ProgressEvent, now: float) -> str:
        start, first = self.started[event.label]
        text = f"{title(event.label)}: {event.done:g} of {event.total:g} {event.unit}".rstrip()
        if event.done >= event.total:
            return f"{text}, {now - start:.0f} s"
        if event.done <= first:
            return text
        left = (now - start) * (event.total - event.done) / (event.done - first)
        return f"{text}, about {left:.0f} s left"
