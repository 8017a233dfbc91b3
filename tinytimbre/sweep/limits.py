"""Memory of processes and machines: what there is, what one uses, and a limit that it cannot outgrow.

Resident memory is watched instead of limiting the address space: TensorFlow reserves far more than it ever touches,
and ends a process without a word when a reservation is refused.
"""

from __future__ import annotations

import os
import pathlib
import threading
import time
from collections.abc import Callable, Iterator

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
POLL_SECS = 0.05
CGROUPS = pathlib.Path("/sys/fs/cgroup")
OWN_CGROUPS = pathlib.Path("/proc/self/cgroup")


def resident_bytes() -> int:
    """Of this process, libraries that it shares with others included."""
    return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES


def machine_bytes() -> int:
    """Memory that processes here may use together: the machine's, or less where a control group says so."""
    return min([os.sysconf("SC_PHYS_PAGES") * PAGE_BYTES, *cgroup_limits()])


def cgroup_limits(*, root: pathlib.Path = CGROUPS, own: pathlib.Path = OWN_CGROUPS) -> Iterator[int]:
    """Limits in bytes of this process's control groups and of those around them, version 1 and 2."""
    for line in own.read_text().splitlines() if own.is_file() else []:
        _, controllers, path = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        name = "memory.limit_in_bytes" if controllers else "memory.max"
        folder = root / controllers / path.strip("/")
        # Inside a container its own group is often mounted as the root.
        for place in (folder, *folder.parents):
            if place.is_relative_to(root) and (place / name).is_file():
                text = (place / name).read_text().strip()
                yield from [int(text)] if text.isdigit() else []


def watch_memory(limit_bytes: int, *, exceeded: Callable[[], None]) -> None:
    """Calls `exceeded`, from a thread of its own, as soon as this process uses more than `limit_bytes`."""

    def watch() -> None:
        while resident_bytes() <= limit_bytes:
            time.sleep(POLL_SECS)
        exceeded()

    threading.Thread(target=watch, daemon=True).start()
