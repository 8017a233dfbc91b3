"""Publishing to an object store: whole versions, one index, whatever fails and whoever else publishes."""

from __future__ import annotations

import json
import pathlib
import shutil

import pytest
from exported_bundles import publish_at_once, renamed

from tests.object_store import ObjectServer, Request
from tinytimbre.export.bundle import validate_bundle
from tinytimbre.export.publish import publish_bundle, read_index
from tinytimbre.storage import ObjectStore, StorageError


@pytest.fixture
def bundle(bundles):
    return bundles("gru8")[1] / "uint8"


@pytest.fixture
def to(bucket: str) -> str:
    return f"s3://{bucket}/models"


def publish(bundle: pathlib.Path, to: str, card: str = "card", **more) -> str:
    return publish_bundle(bundle, card=card, to=to, instrument="violin", **more)


def check(to: str, tmp_path: pathlib.Path) -> list[str]:
    """Versions that the index lists; each is copied down as a client would, and must be a whole bundle."""
    store, index = ObjectStore(to), read_index(to)
    versions = [entry["version"] for entry in index["instruments"].get("violin", {"versions": []})["versions"]]
    for entry in index["instruments"].get("violin", {"versions": []})["versions"]:
        folder = tmp_path / "copy" / entry["version"]
        for path, content in store.read_many(store.names(f"violin/{entry['version']}")).items():
            target = folder / path.split("/", 2)[2]
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        settings = validate_bundle(folder)
        sizes = sum((folder / name).stat().st_size for name in ("model.json", "weights.bin", "settings.json"))
        assert entry["bytes"] == sizes
        assert (entry["trial_id"], entry["quantisation"]) == (settings.trial_id, settings.quantisation)
    return versions


def test_versions_follow_each_other_as_in_a_folder(bundle, to, tmp_path):
    sample = tmp_path / "take.flac"
    sample.write_bytes(b"sound")
    folder = tmp_path / "folder"
    for card in ("one", "two", "one"):
        there = publish(bundle, to, card=card, extra_files={"samples/take.flac": sample})
        here = publish(bundle, str(folder), card=card, extra_files={"samples/take.flac": sample})
        assert there.removeprefix(to) == here.removeprefix(str(folder))
        assert read_index(to) == read_index(folder)
    store = ObjectStore(to)
    assert store.read("index.json") == (folder / "index.json").read_bytes()
    published = {path.relative_to(folder).as_posix() for path in folder.rglob("[!.]*") if path.is_file()}
    assert {name for name in store.names() if not name.startswith(".claims/")} == published
    assert len(check(to, tmp_path)) == 2


def test_other_instruments_stay_as_they_are(bundle, to, tmp_path):
    first = publish(bundle, to, card="one")
    publish(bundle, to, card="two")
    publish(bundle, to, card="one")
    flute = shutil.copytree(bundle, tmp_path / "flute")
    renamed(flute, instrument="flute")
    publish_bundle(flute, card="", to=to, instrument="flute")
    instruments = read_index(to)["instruments"]
    assert list(instruments) == ["flute", "violin"]
    assert first.endswith(instruments["violin"]["latest"])


def test_two_processes_at_once_make_two_versions_and_one_index(bundle, to, tmp_path):
    by_card = publish_at_once(bundle, to, orders=["ab", "ba"])
    assert sorted(int(name.partition("-")[0]) for name in by_card.values()) == [1, 2]
    assert sorted(check(to, tmp_path)) == sorted(by_card.values())


@pytest.mark.parametrize("damage", [None, b"", b'{"instruments": 1}'])
def test_the_next_publishing_mends_the_index(damage, bundle, to, tmp_path):
    publish(bundle, to, card="one")
    publish(bundle, to, card="two")
    store = ObjectStore(to)
    before = store.read("index.json")
    if damage is None:
        store.remove("index.json")
    else:
        store.write("index.json", damage)
    publish(bundle, to, card="two")
    assert store.read("index.json") == before
    assert len(check(to, tmp_path)) == 2


def test_a_failure_of_any_request_leaves_what_was_there(bundle, to, tmp_path, s3, monkeypatch):
    first = publish(bundle, to, card="one").rpartition("/")[2]
    index = ObjectStore(to).read("index.json")
    s3.calm()
    publish(bundle, to, card="measured")
    requests = [(request.method, request.path) for request in s3.log]
    # The bucket, conditions, claim, four files and the index: what a publishing is made of.
    assert sum(method == "PUT" for method, _ in requests) >= 6
    ObjectStore(to).write("index.json", index)
    monkeypatch.setattr("tinytimbre.export.publish.open_storage", lambda place: ObjectStore(place, attempts=1))
    monkeypatch.setattr("tinytimbre.storage.drivers.BODY_ATTEMPTS", 1)
    for number in range(len(requests)):
        s3.calm()
        s3.fault = from_request(number)
        with pytest.raises(StorageError, match="must answer"):
            publish(bundle, to, card=f"failing at {number}")
        s3.calm()
        assert ObjectStore(to).read("index.json") == index, requests[number]
    assert check(to, tmp_path) == [first]
    last = publish(bundle, to, card=f"failing at {len(requests) - 1}")
    assert last.endswith(read_index(to)["instruments"]["violin"]["latest"])
    assert first in check(to, tmp_path)


def from_request(number: int):
    """The connection is gone from that request on."""
    return lambda request: "drop" if request.number >= number else None


def test_an_index_whose_answer_was_lost_is_not_taken_for_anothers(bundle, to, tmp_path, s3: ObjectServer):
    publish(bundle, to, card="one")
    lost: list[Request] = []

    def fault(request: Request) -> str | None:
        if request.method == "PUT" and request.path.endswith("/index.json") and not lost:
            lost.append(request)
            return "lost"
        return None

    s3.fault = fault
    publish(bundle, to, card="two")
    assert lost
    assert len(check(to, tmp_path)) == 2
    puts = [request for request in s3.log if request.method == "PUT" and request.path.endswith("/index.json")]
    assert len(puts) == 3  # one for "one", the lost one, and its repetition, which finds that it is done


def test_an_index_that_another_replaced_is_composed_again(bundle, bundles, to, tmp_path, s3: ObjectServer):
    """Another publishing, from start to end, between the reading and the writing of the index."""
    publish(bundle, to, card="one")
    between: list[str] = []

    def fault(request: Request) -> None:
        if request.method == "PUT" and request.path.endswith("/index.json") and not between:
            between.append("")
            between[0] = publish_at_once(bundle, to, orders=["b"])["b"]

    s3.fault = fault
    own = publish(bundle, to, card="own")
    index = json.loads(ObjectStore(to).read("index.json") or b"")["instruments"]["violin"]
    assert between[0] in check(to, tmp_path)
    assert len(index["versions"]) == 3
    assert own.endswith(index["latest"])
