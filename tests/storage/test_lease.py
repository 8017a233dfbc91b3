"""Leases: how long one is held, who takes it over, and what the loser may still write."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
import time

import pytest

from tests.object_store import ObjectServer, Request, always
from tinytimbre.storage import LostLockError, ObjectStore

SECS = 2.0


def store_of(bucket: str) -> ObjectStore:
    return ObjectStore(f"s3://{bucket}/trials", lease_secs=SECS, attempts=2)


def puts(s3: ObjectServer, path: str) -> list[Request]:
    return [request for request in list(s3.log) if request.method == "PUT" and request.path.endswith(path)]


def until_there_are(count: int, s3: ObjectServer, path: str) -> None:
    deadline = time.monotonic() + 60
    while len(puts(s3, path)) < count:
        assert time.monotonic() < deadline, f"{len(puts(s3, path))} writes of {path}"
        time.sleep(0.02)


def test_a_lease_is_renewed_while_it_is_held_and_freed_after(bucket: str, s3: ObjectServer) -> None:
    store = store_of(bucket)
    with store.lock("a"):
        until_there_are(5, s3, "/a/lock")  # four renewals: longer than one lease
        store.write("a/x", b"content")
    version = store.version("a/lock")
    assert version is not None
    assert store.read("a/lock") == b"free"
    count = len(puts(s3, "/a/lock"))
    time.sleep(SECS / 2)  # two renewals
    assert len(puts(s3, "/a/lock")) == count


def test_a_lease_outlives_a_store_that_is_away(bucket: str, s3: ObjectServer) -> None:
    """Nobody else could take it in the meantime, so it is renewed late."""
    store = store_of(bucket)
    with store.lock("a"):
        s3.fault = always("drop")
        time.sleep(1.5 * SECS)
        s3.fault = None
        store.write("a/x", b"content")
    assert store.read("a/x") == b"content"


def _hold(store: ObjectStore, pipe: multiprocessing.connection.Connection) -> None:
    """Writes when told, and tells what came of it."""
    with store.lock("a"):
        store.write("a/checkpoint", b"old")
        pipe.send("held")
        for path in iter(pipe.recv, ""):
            try:
                store.write(path, b"late")
                pipe.send("written")
            except LostLockError:
                pipe.send("lost")


@pytest.fixture
def holder(bucket: str):
    """A process that holds the lease, and the pipe to it."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_hold, args=(store_of(bucket), theirs), daemon=True)
    process.start()
    assert ours.poll(120)
    assert ours.recv() == "held"
    yield process, ours
    process.kill()
    process.join()


def test_a_holder_that_stood_still_writes_nothing_more(bucket: str, holder) -> None:
    process, pipe = holder
    new = store_of(bucket)
    os.kill(process.pid, signal.SIGSTOP)
    with new.lock("a"):
        new.write("a/checkpoint", b"new")
        os.kill(process.pid, signal.SIGCONT)
        for path in ("a/checkpoint", "a/result"):
            pipe.send(path)
            assert pipe.poll(60)
            assert pipe.recv() == "lost"
        new.write("a/result", b"new")
    assert new.read_many(["a/checkpoint", "a/result"]) == {"a/checkpoint": b"new", "a/result": b"new"}


@pytest.mark.parametrize("arrives", ["after", "before"])
def test_a_write_that_the_network_held_back_does_not_last(arrives: str, bucket: str, s3: ObjectServer, holder) -> None:
    """Sent under a valid lease, it arrives when another process has taken over, after or before that one's own."""
    process, pipe = holder
    new, gate = store_of(bucket), threading.Event()
    sent = len(puts(s3, "/a/checkpoint"))

    def late(request: Request) -> None:
        if (
            request.path.endswith("/a/checkpoint")
            and request.method == "PUT"
            and len(puts(s3, "/a/checkpoint")) == sent + 1
        ):
            gate.wait(60)

    s3.fault = late
    pipe.send("a/checkpoint")
    until_there_are(sent + 1, s3, "/a/checkpoint")
    os.kill(process.pid, signal.SIGSTOP)
    with new.lock("a"):
        if arrives == "after":
            new.write("a/checkpoint", b"new")
        gate.set()
        deadline = time.monotonic() + 60
        while arrives == "before" and new.read("a/checkpoint") != b"late" and time.monotonic() < deadline:
            time.sleep(0.05)
        new.write("a/checkpoint", b"new")
        os.kill(process.pid, signal.SIGCONT)
        assert pipe.poll(60)
        # What arrived before may have been answered in time; the client may also have asked again, too late.
        assert pipe.recv() in {"after": ["lost"], "before": ["written", "lost"]}[arrives]
    assert new.read("a/checkpoint") == b"new"


def test_all_that_a_dead_process_held_runs_out_together(bucket: str, s3: ObjectServer) -> None:
    old, new = store_of(bucket), store_of(bucket)
    folders = ["a", "b", "c"]
    for folder in folders:
        old.put(f"{folder}/lock", b"held by nobody who lives", expected=None)
    new.check()
    started = time.monotonic()
    with new.lock(*folders):
        took = time.monotonic() - started
    assert took >= SECS
    # The others followed the first without a wait: one look before it, one after it.
    for folder in ("b", "c"):
        second = puts(s3, f"/{folder}/lock")[1].number
        assert sum(r.method == "HEAD" and r.path.endswith(f"/{folder}/lock") for r in s3.log[:second]) == 2
