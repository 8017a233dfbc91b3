"""The contract of a storage, for a folder and for an object store; what an object store does when it fails."""

from __future__ import annotations

import multiprocessing
import pathlib
import pickle
import threading
import time
from collections.abc import Callable

import pytest

from tests.object_store import KEY_ID, SECRET, ObjectServer, Request, always
from tinytimbre.errors import TinyTimbreError
from tinytimbre.storage import Folder, ObjectStore, Storage, StorageError, is_address, located, open_storage


@pytest.fixture(params=["folder", "s3", "gs"])
def storage(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Storage:
    if request.param == "folder":
        return Folder(tmp_path / "place")
    if request.param == "gs":
        return ObjectStore(request.getfixturevalue("google"))
    return ObjectStore(f"s3://{request.getfixturevalue('bucket')}/the/place")


@pytest.fixture
def store(bucket: str) -> ObjectStore:
    """One that gives up after two attempts."""
    return ObjectStore(f"s3://{bucket}/place", attempts=2)


def test_files_come_back(storage: Storage) -> None:
    storage.check()
    assert storage.read("a/x") is None
    assert storage.names() == []
    content = bytes(range(256)) * 5000
    storage.write("a/x", b"old")
    storage.write("a/x", content)
    storage.write("a/sub/y.z", b"")
    storage.write("ab/x", b"other")
    assert storage.read("a/x") == content
    assert storage.read("a/sub/y.z") == b""
    assert storage.read("a") is None if isinstance(storage, ObjectStore) else True
    assert storage.names() == ["a/sub/y.z", "a/x", "ab/x"]
    assert storage.names("a") == ["a/sub/y.z", "a/x"]
    assert storage.names("absent") == []
    assert storage.read_many(["a/x", "absent", "ab/x"]) == {"a/x": content, "ab/x": b"other"}
    assert storage.read_many([]) == {}
    storage.remove("a/x")
    storage.remove("a/x")
    assert storage.names() == ["a/sub/y.z", "ab/x"]


def test_an_instance_goes_to_other_processes(storage: Storage) -> None:
    storage.write("a/x", b"content")
    context = multiprocessing.get_context("fork")  # the client of this process, with its threads, must not be used
    process = context.Process(target=storage.write, args=("a/forked", b"child"))
    process.start()
    process.join(60)
    assert process.exitcode == 0
    copy = pickle.loads(pickle.dumps(storage))
    assert (copy.address, copy.read("a/x"), copy.read("a/forked")) == (storage.address, b"content", b"child")


def test_a_lock_keeps_others_out_until_it_is_given_back(storage: Storage) -> None:
    other, order = pickle.loads(pickle.dumps(storage)), []

    def wait() -> None:
        with other.lock("b", "a"):
            order.append(other.read("a/x"))

    with storage.lock("a", "b"):
        waiting = threading.Thread(target=wait)
        waiting.start()
        assert storage.locked(["a", "b", "c"]) == {"a", "b"}
        storage.write("a/x", b"old")
        storage.write("a/x", b"new")
        storage.write("a/sub/y", b"unfenced")
        storage.remove("a/z")
        assert order == []
    waiting.join(60)
    assert order == [b"new"]
    assert storage.locked(["a", "b"]) == set()


def test_a_lock_is_given_back_when_the_work_fails(storage: Storage) -> None:
    with pytest.raises(RuntimeError), storage.lock("a"):
        raise RuntimeError
    assert storage.locked(["a"]) == set()


def _hold(storage: Storage, ready: multiprocessing.synchronize.Event) -> None:
    with storage.lock("a"):
        storage.write("a/x", b"of the dead")
        ready.set()
        time.sleep(600)


def test_the_lock_of_a_killed_process_is_taken_over(storage: Storage) -> None:
    if isinstance(storage, ObjectStore):
        storage = ObjectStore(storage.address, lease_secs=2.0)
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    process = context.Process(target=_hold, args=(storage, ready))
    process.start()
    assert ready.wait(120)
    process.kill()
    process.join()
    with storage.lock("a"):
        storage.write("a/x", b"of the living")
    assert storage.read("a/x") == b"of the living"


def _fight(storage: Storage, name: str, rounds: int) -> None:
    """Adds one to a number in a way that only a lock makes right."""
    for _ in range(rounds):
        with storage.lock("a"):
            number = int(storage.read("a/number") or b"0")
            storage.write(f"a/{name}", str(number).encode())
            storage.write("a/number", str(number + 1).encode())


def test_two_processes_fight_over_a_trial(storage: Storage) -> None:
    context = multiprocessing.get_context("spawn")
    fighters = [context.Process(target=_fight, args=(storage, name, 5)) for name in ("one", "two")]
    for fighter in fighters:
        fighter.start()
    for fighter in fighters:
        fighter.join(180)
    assert [fighter.exitcode for fighter in fighters] == [0, 0]
    assert storage.read("a/number") == b"10"


def test_writes_under_conditions(store: ObjectStore) -> None:
    first = store.put("x", b"1", expected=None)
    assert first is not None
    assert store.put("x", b"2", expected=None) is None
    second = store.put("x", b"2", expected=first)
    assert second is not None
    assert store.version("x") == (second, 1)
    assert store.put("x", b"3", expected=first) is None
    assert store.put("absent", b"1", expected=first) is None
    assert store.read("x") == b"2"
    assert store.version("absent") is None


def test_of_many_that_create_one_succeeds(store: ObjectStore) -> None:
    store.check()
    made: list[str | None] = [None] * 8

    def create(index: int) -> None:
        made[index] = store.put("x", f"content {index}".encode(), expected=None)

    threads = [threading.Thread(target=create, args=(index,)) for index in range(len(made))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = [index for index, version in enumerate(made) if version]
    assert store.read("x") == f"content {winner}".encode()


def once(kind: str, *, method: str = "", path: str = "/x") -> Callable[[Request], str | None]:
    """The first request of a method to a path fails."""
    left = [kind]

    def fault(request: Request) -> str | None:
        hit = request.method.startswith(method) and request.path.endswith(path) and left
        return left.pop() if hit else None

    return fault


@pytest.mark.parametrize("kind", ["503", "drop", "lost", "late"])
@pytest.mark.parametrize("conditional", [False, True])
def test_a_request_that_fails_once_is_repeated(kind: str, conditional: bool, bucket: str, s3: ObjectServer) -> None:
    """Also where it was done and only the answer was lost: the repeated one finds its own object in the way.

    An answer that is late is asked for again, or waited for where aiohttp's timer starts late; both are right.
    """
    patience_secs, fault = (3.0, "9") if kind == "late" else (30.0, kind)
    store = ObjectStore(f"s3://{bucket}/place", timeout_secs=patience_secs, attempts=3)
    store.check()
    s3.fault = once(fault, method="PUT")
    if conditional:
        assert store.put("x", b"content", expected=None) is not None
    else:
        store.write("x", b"content")
    repeated = 1 if kind == "late" else 2
    assert sum(request.method == "PUT" for request in s3.log) >= repeated
    s3.fault = once(fault, method="GET")
    assert store.read("x") == b"content"
    assert sum(request.method == "GET" and request.path.endswith("/x") for request in s3.log) >= repeated


def test_an_answer_that_breaks_off_is_asked_for_again(store: ObjectStore, s3: ObjectServer) -> None:
    content = bytes(1_000_000)
    store.write("x", content)
    s3.fault = once("cut", method="GET")
    assert store.read("x") == content


def test_a_slow_store_is_waited_for(store: ObjectStore, s3: ObjectServer) -> None:
    s3.fault = always("0.3")
    store.write("x", b"content")
    assert store.read("x") == b"content"
    assert len(s3.log) == 3  # the first finds out whether the bucket is there; none was repeated


CALLS: dict[str, Callable[[ObjectStore], object]] = {
    "check": lambda store: store.check(),
    "read": lambda store: store.read("x"),
    "read_many": lambda store: store.read_many(["x", "y"]),
    "write": lambda store: store.write("x", b""),
    "put": lambda store: store.put("x", b"", expected=None),
    "remove": lambda store: store.remove("x"),
    "names": lambda store: store.names(),
    "version": lambda store: store.version("x"),
    "lock": lambda store: store.lock("a").__enter__(),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("kind", "rule", "cause"),
    [
        ("503", "must answer", "overloaded"),
        ("drop", "must answer", "network"),
        ("403", "accept the credentials", "wrong or expired"),
    ],
)
def test_what_goes_on_failing_is_explained(
    call: str, kind: str, rule: str, cause: str, store: ObjectStore, s3: ObjectServer
) -> None:
    if call != "check":
        store.check()
    s3.fault = always(kind)
    with pytest.raises(StorageError, match=rule) as caught:
        CALLS[call](store)
    told = str(caught.value)
    assert store.address in told
    assert cause in caught.value.cause
    assert caught.value.remedy
    assert KEY_ID not in told.replace(store.address, "")
    assert SECRET not in told


def test_a_missing_bucket(s3: ObjectServer) -> None:
    with pytest.raises(StorageError, match="bucket must exist") as caught:
        ObjectStore("s3://absent-bucket/place").read("x")
    assert f"no bucket absent-bucket at {s3.url}" in caught.value.got


def test_unknown_credentials(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIASTRANGER")
    with pytest.raises(StorageError, match="accept the credentials") as caught:
        ObjectStore(f"s3://{bucket}/place").check()
    assert "InvalidAccessKeyId" in caught.value.got
    assert "AKIASTRANGER" not in str(caught.value)


def test_no_credentials(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(StorageError, match="accept the credentials") as caught:
        ObjectStore(f"s3://{bucket}/place").check()
    assert caught.value.cause == "none were found"


def test_an_endpoint_where_nobody_listens(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(StorageError, match="must answer") as caught:
        ObjectStore(f"s3://{bucket}/place", attempts=2).check()
    assert "http://127.0.0.1:9" in caught.value.got
    assert "AWS_ENDPOINT_URL" in caught.value.cause


@pytest.mark.parametrize("value", ["localhost:9000", "http://user:word@host:9000", "http://host:9000/bucket"])
def test_an_endpoint_that_is_none(value: str, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", value)
    with pytest.raises(StorageError, match="AWS_ENDPOINT_URL must be a URL") as caught:
        ObjectStore(f"s3://{bucket}/place").check()
    assert "word" not in str(caught.value)


def test_minio_is_where_the_endpoint_says(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ObjectStore(f"minio://{bucket}/place").write("x", b"content")
    assert ObjectStore(f"s3://{bucket}/place").read("x") == b"content"
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    with pytest.raises(StorageError, match="minio:// needs to know"):
        ObjectStore(f"minio://{bucket}/place").check()


@pytest.mark.parametrize(("address", "package"), [("s3://bucket/x", "s3fs"), ("gs://bucket/x", "gcsfs")])
def test_a_missing_driver(address: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, package, None)  # how Python itself marks what cannot be imported
    with pytest.raises(StorageError, match=f"needs the package {package}") as caught:
        ObjectStore(address).check()
    assert "pip install" in caught.value.remedy


def test_a_store_that_ignores_conditions_is_refused(store: ObjectStore, s3: ObjectServer) -> None:
    s3.ignores_conditions = True
    with pytest.raises(StorageError, match="must refuse a write"), store.lock("a"):
        pass


@pytest.mark.parametrize(
    "address",
    ["s3://", "s3:///x", "s3://B/x", "s3://bucket/../x", "s3://bucket/a//b", "s3://bucket/x*", "ftp://bucket/x"],
)
def test_addresses_that_are_none(address: str) -> None:
    with pytest.raises(TinyTimbreError, match="a place in an object store is") as caught:
        open_storage(address)
    assert caught.value.got == address


def test_credentials_in_an_address_are_refused_unrepeated() -> None:
    with pytest.raises(TinyTimbreError, match="holds no credentials") as caught:
        open_storage("s3://AKIA:secret@bucket/x")
    assert "secret" not in str(caught.value)
    assert "AKIA" not in str(caught.value)


def test_paths_and_addresses_are_told_apart(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert located("x/y") == str(tmp_path / "x" / "y")
    assert located("s3://bucket/x/") == "s3://bucket/x"
    assert (is_address("x"), is_address("gs://bucket")) == (False, True)
    assert isinstance(open_storage(tmp_path), Folder)
