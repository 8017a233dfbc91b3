"""What every place to keep files in can do."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Protocol

from tinytimbre.errors import TinyTimbreError


class StorageError(TinyTimbreError):
    """An object store that cannot be used or reached."""


class LostLockError(TinyTimbreError):
    """The lock ran out while it was held, so another process may hold it; nothing more may be written."""


class Storage(Protocol):
    """Files by path: relative, with slashes, such as ``"1a2b/rung-0.json"``.

    All methods raise `StorageError` where an object store cannot be used or reached, and `OSError` where a disk can
    not. An instance may be handed to other processes and used by several threads.

    Attributes:
        address: as given to `open_storage`, for messages.
    """

    address: str

    def check(self) -> None:
        """Raises if the place cannot be used; makes nothing."""

    def read(self, path: str) -> bytes | None:
        """Content of a file, None where there is none."""

    def read_many(self, paths: Iterable[str]) -> dict[str, bytes]:
        """By path the contents of those files that exist; at the same time where that is faster."""

    def write(self, path: str, content: bytes) -> None:
        """Replaces a file: readers see the old content or the new.

        Raises:
            LostLockError: the folder is locked by this instance, but its lock has run out.
        """

    def remove(self, path: str) -> None:
        """Removes a file, if it is there. Raises as `write`."""

    def names(self, folder: str = "") -> list[str]:
        """Paths of all whole files below a folder, sorted; in one go, however many there are."""

    def lock(self, *folders: str) -> AbstractContextManager[None]:
        """Holds folders against every other process and machine; waits while others have them.

        A holder that dies frees them: at once in a folder, after the length of a lease in an object store.
        """

    def locked(self, folders: Iterable[str]) -> set[str]:
        """Those of the folders that somebody holds at the moment."""
