"""Files below a folder of a file system."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pathlib
from collections.abc import Iterable, Iterator

from tinytimbre.durable import write_whole

LOCK = "lock"
LEFTOVERS = ".*.npz.*"
"""Half-written arrays of a killed process; see `tinytimbre.durable.replacing`."""


class Folder:
    """A `Storage` on a disk, or on a volume whose file system has `flock`.

    Args:
        root: made when something is written.
    """

    def __init__(self, root: str | pathlib.Path) -> None:
        self.root = pathlib.Path(root)
        self.address = str(self.root)

    def check(self) -> None:
        """Nothing to ask: the disk says what is wrong when it is written to."""

    def read(self, path: str) -> bytes | None:
        """See `Storage`."""
        try:
            return (self.root / path).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def read_many(self, paths: Iterable[str]) -> dict[str, bytes]:
        """See `Storage`."""
        found = {path: self.read(path) for path in paths}
        return {path: content for path, content in found.items() if content is not None}

    def write(self, path: str, content: bytes) -> None:
        """See `Storage`."""
        write_whole(self.root / path, content)

    def remove(self, path: str) -> None:
        """See `Storage`."""
        (self.root / path).unlink(missing_ok=True)

    def names(self, folder: str = "") -> list[str]:
        """See `Storage`; hidden files are what is being written."""
        start = len(str(self.root)) + 1
        found = os.walk(f"{self.root}/{folder}".rstrip("/"))
        return sorted(f"{parent}/{file}"[start:] for parent, _, files in found for file in files if file[0] != ".")

    @contextlib.contextmanager
    def lock(self, *folders: str) -> Iterator[None]:
        """See `Storage`; the system frees the locks of a process that dies."""
        with contextlib.ExitStack() as files:
            # Sorted, so that two processes that want the same folders never wait for each other in a circle.
            for folder in sorted(folders):
                files.enter_context(self._lock(self.root / folder))
            yield

    @contextlib.contextmanager
    def _lock(self, folder: pathlib.Path) -> Iterator[None]:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / LOCK).open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(f"held by process {os.getpid()}\n")
            file.flush()
            # Only who holds the folder writes arrays.
            for left in folder.glob(LEFTOVERS):
                left.unlink()
            yield

    def locked(self, folders: Iterable[str]) -> set[str]:
        """See `Storage`."""
        return {folder for folder in folders if _is_locked(self.root / folder / LOCK)}


def _is_locked(path: pathlib.Path) -> bool:
    if not path.is_file():
        return False
    with path.open("r") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        return False
