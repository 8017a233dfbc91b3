"""Progress as structured log records: the library reports, whoever runs it decides how it looks.

A record on the logger ``tinytimbre.progress`` carries ``label``, ``done``, ``total`` and ``unit`` in
``record.progress``. The command line draws bars from it; a pod simply logs the line.

    for take in track(takes, label="features", unit="takes"):
        ...
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

LOGGER = logging.getLogger("tinytimbre.progress")
T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class ProgressEvent:
    """``done`` of ``total`` units of the work named ``label`` are finished (0 <= done <= total)."""

    label: str
    done: float
    total: float
    unit: str = ""
    detail: str = ""


def report(event: ProgressEvent) -> None:
    """Sends one event to whoever listens on the progress logger."""
    LOGGER.info(
        "%s: %g of %g %s %s",
        event.label,
        event.done,
        event.total,
        event.unit,
        event.detail,
        extra={"progress": event},
    )


def track(items: Iterable[T], *, label: str, unit: str = "", total: int | None = None) -> Iterator[T]:
    """Yields the items and reports after each one; ``total`` is needed where ``items`` has no length."""
    count = total if total is not None else len(items) if isinstance(items, Sized) else 0
    report(ProgressEvent(label, 0, count, unit))
    for done, item in enumerate(items, start=1):
        yield item
        report(ProgressEvent(label, done, max(count, done), unit))
