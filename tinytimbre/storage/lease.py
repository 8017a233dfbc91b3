"""A lock in an object store: an object that its holder keeps renewing, and that others take over once he stops.

    <folder>/lock       "free", or longer: who holds it, another text with every renewal

No clocks of different machines are compared. Who waits has seen the same version of the object for the length of the
lease, on his own clock, before he takes it over; who holds counts from before his last renewal was sent, so he knows
first that he has lost it. Taking, renewing, taking over and freeing are writes under the condition that nobody else
has written.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import socket
import threading
import time
import uuid
from typing import Protocol

from tinytimbre.storage.contract import LostLockError, StorageError

LOCK = "lock"
FREE = b"free"
RENEWALS = 4
"""In the length of a lease, so that one or two may fail."""

POLLS = 20
"""Looks at a foreign lease in the length of one."""


class Versioned(Protocol):
    """What a lease needs of a store; paths as in `tinytimbre.storage.Storage`."""

    def version(self, path: str) -> tuple[str, int] | None:
        """Version and size of an object, None where there is none."""

    def put(self, path: str, content: bytes, *, expected: str | None) -> str | None:
        """Writes if the object has the version `expected`, or is absent for None; the new version, None if refused."""


class Lease:
    """The lock of one folder.

    Args:
        store: that holds the object.
        folder: that is locked.
        secs: after which it is taken over unless renewed.
    """

    def __init__(self, store: Versioned, folder: str, *, secs: float) -> None:
        self._store, self._folder, self._path, self._secs = store, folder, f"{folder}/{LOCK}", secs
        self._holder, self._beat = uuid.uuid4().hex, 0
        self._version: str | None = None
        self._seen: tuple[str, float] | None = None
        self._renewed = -float("inf")
        self._holds, self._lost = False, False
        self._turn, self._end = threading.Lock(), threading.Event()

    def look(self) -> bool:
        """Whether the lease can be taken; what stands there is seen, for the first time or again."""
        found = self._store.version(self._path)
        self._version, size = found or (None, 0)
        if self._version is None or size <= len(FREE):
            return True
        if self._seen is None or self._seen[0] != self._version:
            self._seen = (self._version, time.monotonic())
        return time.monotonic() - self._seen[1] >= self._secs

    def take(self) -> None:
        """Waits until it is free or not renewed any more, then holds it and has it renewed."""
        while not (self.look() and self._write(self._statement())):
            time.sleep(self._secs / POLLS * random.uniform(0.5, 1.5))
        self._holds = True
        threading.Thread(target=self._keep, name=f"lease {self._folder}", daemon=True).start()

    def check(self) -> None:
        """Costs nothing while renewals come through; raises `LostLockError` if somebody else has it."""
        if self._lost or time.monotonic() - self._renewed >= self._secs:
            self.confirm()

    def confirm(self) -> None:
        """Renews it now, late as it may be: nobody else has it where that succeeds. Raises as `check`."""
        with self._turn:
            self._lost = self._lost or not self._write(self._statement())
        if self._lost:
            raise LostLockError(
                "only the holder of a trial may write it",
                got=f"{self._folder}: another process took over its lock, which was not renewed for {self._secs:g} s",
                cause="this process, its machine or the object store stood still",
                remedy="nothing is lost: run the same command again",
            )

    def stop(self) -> None:
        """Renews it no more."""
        self._end.set()

    def free(self) -> None:
        """Stops and gives it back, if it is held and not stopped before; if that fails, it runs out."""
        if self._end.is_set() or not self._holds:
            return
        self.stop()
        with self._turn:
            if not self._lost:
                with contextlib.suppress(StorageError):
                    self._store.put(self._path, FREE, expected=self._version)

    def _statement(self) -> bytes:
        """Never the same twice: a version may be made from the content alone."""
        self._beat += 1
        told = {"holder": self._holder, "host": socket.gethostname(), "process": os.getpid(), "beat": self._beat}
        return json.dumps(told).encode()

    def _write(self, content: bytes) -> bool:
        sent = time.monotonic()
        version = self._store.put(self._path, content, expected=self._version)
        if version is None:
            return False
        self._version, self._renewed = version, sent
        return True

    def _keep(self) -> None:
        while not self._end.wait(self._secs / RENEWALS):
            with self._turn:
                if self._end.is_set() or self._lost:
                    return
                with contextlib.suppress(StorageError):  # another try follows; `check` knows when it is too late
                    self._lost = not self._write(self._statement())
