"""Files in an object store, which replaces objects whole and can refuse a write under a condition."""

from __future__ import annotations

import contextlib
import datetime
import os
import threading
import uuid
from collections.abc import Iterable, Iterator
from typing import Any

from tinytimbre.storage.address import parse_address
from tinytimbre.storage.contract import LostLockError, StorageError
from tinytimbre.storage.drivers import Driver, make_driver
from tinytimbre.storage.explaining import explaining
from tinytimbre.storage.lease import FREE, LOCK, Lease

LEASE_SECS = 60.0
TIMEOUT_SECS = 20.0
ATTEMPTS = 5
"""Of a request, with growing pauses; some 10 s where it is refused at once."""

PROBE = ".conditions"
DISPUTES = 5
"""Writes of a held file that somebody else was in the way of."""


class ObjectStore:
    """A `Storage` at an address such as ``s3://bucket/path``.

    Args:
        address: where; nothing is asked of the store before the first use.
        lease_secs: after which the lock of a process that died is taken over.
        timeout_secs: without a byte, after which a request is given up and repeated.
        attempts: of a request, before an error is raised.

    Raises:
        StorageError: no such address.
    """

    def __init__(
        self,
        address: str,
        *,
        lease_secs: float = LEASE_SECS,
        timeout_secs: float = TIMEOUT_SECS,
        attempts: int = ATTEMPTS,
    ) -> None:
        self._place = parse_address(address)
        self.address = str(self._place)
        self._lease_secs, self._timeout_secs, self._attempts = lease_secs, timeout_secs, attempts
        self._start()

    def _start(self) -> None:
        self._process, self._conditional = os.getpid(), False
        self._client: Driver | None = None
        self._making = threading.RLock()
        self._held: dict[str, _Held] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process makes its own client; threads and locks stay here."""
        return _remade, (self.address, self._lease_secs, self._timeout_secs, self._attempts)

    def check(self) -> None:
        """See `Storage`."""
        self._driver()

    def read(self, path: str) -> bytes | None:
        """See `Storage`."""
        driver = self._driver()
        with explaining(self._place):
            try:
                content: bytes = driver.fs.cat_file(self._key(path))
            except FileNotFoundError:
                return None
        return content

    def read_many(self, paths: Iterable[str]) -> dict[str, bytes]:
        """See `Storage`."""
        keys, driver = {self._key(path): path for path in paths}, self._driver()
        with explaining(self._place):
            found = driver.fs.cat(list(keys), on_error="return") if keys else {}
            for content in found.values():
                if isinstance(content, Exception) and not isinstance(content, FileNotFoundError):
                    raise content
        return {keys[key]: content for key, content in found.items() if isinstance(content, bytes)}

    def write(self, path: str, content: bytes) -> None:
        """See `Storage`."""
        holder, driver = self._holder(path), self._driver()
        if holder is not None:
            holder.write(path, content)
            return
        with explaining(self._place):
            driver.fs.pipe_file(self._key(path), content)

    def remove(self, path: str) -> None:
        """See `Storage`."""
        holder, driver = self._holder(path), self._driver()
        if holder is not None:
            holder.lease.confirm()
            holder.versions.pop(path, None)
        with explaining(self._place), contextlib.suppress(FileNotFoundError):
            driver.fs.rm_file(self._key(path))

    def names(self, folder: str = "") -> list[str]:
        """See `Storage`; hidden files are the store's own."""
        return sorted(path for path in self._listing(folder) if not path.rpartition("/")[2].startswith("."))

    @contextlib.contextmanager
    def lock(self, *folders: str) -> Iterator[None]:
        """See `Storage`; writes into the folders are refused once the lock is lost, however late they arrive."""
        self.require_conditions()
        # Sorted, so that two processes that want the same folders never wait for each other in a circle.
        leases = {folder: Lease(self, folder, secs=self._lease_secs) for folder in sorted(folders)}
        try:
            for lease in leases.values():
                lease.look()  # so that all that a dead process held run out together
            for folder, lease in leases.items():
                lease.take()
                self._held[folder] = _Held(self, folder, lease)
            yield
        except StorageError:
            for lease in leases.values():
                lease.stop()  # to free them would take as many attempts again; they run out
            raise
        finally:
            for folder, lease in leases.items():
                self._held.pop(folder, None)
                lease.free()

    def locked(self, folders: Iterable[str]) -> set[str]:
        """See `Storage`; by the store's clock against this machine's."""
        wanted, now = set(folders), datetime.datetime.now(datetime.UTC)
        renewed = {
            path.removesuffix(f"/{LOCK}"): info["LastModified"] if "LastModified" in info else info["mtime"]
            for path, info in self._listing("").items()
            if path.endswith(f"/{LOCK}") and info["size"] > len(FREE)
        }
        return {
            folder
            for folder, time in renewed.items()
            if folder in wanted and (now - time).total_seconds() < self._lease_secs
        }

    def version(self, path: str) -> tuple[str, int] | None:
        """Version and size of an object, None where there is none."""
        driver = self._driver()
        with explaining(self._place):
            try:
                info = driver.fs.info(self._key(path))
            except FileNotFoundError:
                return None
        return None if info["type"] == "directory" else (str(info[driver.version]), int(info["size"]))

    def versions(self, folder: str) -> dict[str, str]:
        """By path the versions of all objects below a folder."""
        return {path: str(info[self._driver().version]) for path, info in self._listing(folder).items()}

    def put(self, path: str, content: bytes, *, expected: str | None) -> str | None:
        """Writes an object if nobody else has.

        Args:
            path: of the object.
            content: all of it.
            expected: the version that is replaced; None for an object that must not exist.

        Returns:
            The new version; None where the object is another one, or another write was under way.
        """
        driver = self._driver()
        with explaining(self._place):
            version = driver.put(self._key(path), content, expected=expected)
        if version is None:
            # If an answer is lost, the client asks again, and finds its own first request in the way.
            found = self.version(path)
            if found is not None and found[1] == len(content) and self.read(path) == content:
                return found[0]
        return version

    def _key(self, path: str) -> str:
        return "/".join(part for part in (self._place.bucket, self._place.path, path) if part)

    def _holder(self, path: str) -> _Held | None:
        return self._held.get(path.rpartition("/")[0])

    def _listing(self, folder: str) -> dict[str, dict[str, Any]]:
        driver, root = self._driver(), self._key("")
        with explaining(self._place):
            found = driver.fs.find(self._key(folder), detail=True)
        return {key.removeprefix(f"{root}/"): info for key, info in found.items() if key != root}

    def _driver(self) -> Driver:
        """Of this process; the first use also finds out whether there is anything to use."""
        if self._process != os.getpid():
            self._start()
        with self._making:
            if self._client is None:
                with explaining(self._place):
                    client = make_driver(self._place, timeout_secs=self._timeout_secs, attempts=self._attempts)
                    client.check(self._place.bucket)
                self._client = client
            return self._client

    def require_conditions(self) -> None:
        """Some stores take no notice of conditions: with them a lock would hold nobody back."""
        if self._conditional:
            return
        if self.version(PROBE) is None:
            self.put(PROBE, b"Overwritten by stores that take no notice of conditions.", expected=None)
        text = uuid.uuid4().hex.encode()
        if any(self.put(PROBE, text, expected=version) for version in (None, self._driver().foreign)):
            raise StorageError(
                "an object store for trials must refuse a write whose condition is not met",
                got=f"{self.address}: If-None-Match or If-Match was ignored",
                cause="an old version of the server",
                remedy="use a newer one, another store, or a folder on a shared volume",
            )
        self._conditional = True


class _Held:
    """What only the holder of a lease writes, object by object: a late write of an earlier holder is seen or refused.

    Args:
        store: of the objects.
        folder: that the lease is for.
        lease: taken before.
    """

    def __init__(self, store: ObjectStore, folder: str, lease: Lease) -> None:
        self._store, self.lease = store, lease
        self.versions = store.versions(folder)

    def write(self, path: str, content: bytes) -> None:
        """Replaces what this holder last saw there."""
        for _ in range(DISPUTES):
            self.lease.check()
            version = self._store.put(path, content, expected=self.versions.get(path))
            if version is not None:
                self.versions[path] = version
                return
            # Of an earlier holder, or of the next one: then this is not ours any more.
            self.lease.confirm()
            self._look(path)
        raise LostLockError("only the holder of a trial may write it", got=f"{path}, which others keep writing")

    def _look(self, path: str) -> None:
        found = self._store.version(path)
        self.versions.pop(path, None)
        if found is not None:
            self.versions[path] = found[0]


def _remade(address: str, lease_secs: float, timeout_secs: float, attempts: int) -> ObjectStore:
    return ObjectStore(address, lease_secs=lease_secs, timeout_secs=timeout_secs, attempts=attempts)
