from __future__ import annotations

import errno
import json
import os
import pathlib
import shutil

import pytest
from exported_bundles import publish_at_once, renamed

from tinytimbre.errors import TinyTimbreError
from tinytimbre.export.bundle import load_bundle, validate_bundle
from tinytimbre.export.publish import publish_bundle, read_index


@pytest.fixture
def bundle(bundles):
    return bundles("gru8")[1] / "uint8"


def publish(bundle, to, card="card", **more):
    return pathlib.Path(publish_bundle(bundle, card=card, to=to, instrument="violin", **more))


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_version_is_a_whole_bundle_with_card_and_extras(bundle, tmp_path):
    sample = tmp_path / "take.flac"
    sample.write_bytes(b"sound")
    to = tmp_path / "out"
    version = publish(bundle, to, card="# violin", extra_files={"samples/take.flac": sample})

    assert version.parent == to / "violin"
    assert names(version) == ["card.md", "model.json", "samples", "settings.json", "weights.bin"]
    assert (version / "card.md").read_text() == "# violin"
    assert (version / "samples" / "take.flac").read_bytes() == b"sound"
    assert load_bundle(version).settings.instrument == "violin"
    assert names(to) == [".lock", "index.json", "violin"]
    assert version.stat().st_mode & 0o777 == 0o755


def test_the_index_lists_versions_oldest_first(bundle, bundles, tmp_path):
    first = publish(bundle, tmp_path)
    second = publish(bundles("gru8")[1] / "float32", tmp_path)
    entry = read_index(tmp_path)["instruments"]["violin"]
    assert [v["version"] for v in entry["versions"]] == [first.name, second.name]
    assert (first.name[:5], second.name[:5]) == ("0001-", "0002-")
    assert entry["latest"] == second.name
    expected = sum((second / name).stat().st_size for name in ("model.json", "weights.bin", "settings.json"))
    assert entry["versions"][1] == {
        "version": second.name, "bytes": expected, "trial_id": "t0123", "sweep": "probe", "quantisation": "float32",
    }  # fmt: skip


def test_the_same_content_is_one_version(bundle, tmp_path):
    first = publish(bundle, tmp_path)
    before = first.stat().st_mtime_ns
    assert publish(bundle, tmp_path) == first
    assert names(tmp_path / "violin") == [first.name]
    assert first.stat().st_mtime_ns == before
    assert publish(bundle, tmp_path, card="another card") != first


def test_publishing_an_older_version_again_makes_it_the_latest(bundle, tmp_path):
    first = publish(bundle, tmp_path, card="one")
    second = publish(bundle, tmp_path, card="two")
    assert publish(bundle, tmp_path, card="one") == first
    assert read_index(tmp_path)["instruments"]["violin"]["latest"] == first.name
    assert names(tmp_path / "violin") == [first.name, second.name]


def test_another_instrument_keeps_its_latest(bundle, bundles, tmp_path):
    rolled_back = publish(bundle, tmp_path, card="one")
    publish(bundle, tmp_path, card="two")
    publish(bundle, tmp_path, card="one")
    flute = shutil.copytree(bundle, tmp_path.parent / f"{tmp_path.name}-flute")
    renamed(flute, instrument="flute")
    publish_bundle(flute, card="", to=tmp_path, instrument="flute")
    instruments = read_index(tmp_path)["instruments"]
    assert list(instruments) == ["flute", "violin"]
    assert instruments["violin"]["latest"] == rolled_back.name


@pytest.mark.parametrize("damage", ["gone", "cut", "stale"])
def test_the_next_publishing_mends_the_index(bundle, tmp_path, damage):
    """What a kill between the rename and the index leaves."""
    first = publish(bundle, tmp_path, card="one")
    stale = (tmp_path / "index.json").read_text()
    second = publish(bundle, tmp_path, card="two")
    index = tmp_path / "index.json"
    if damage == "gone":
        index.unlink()
    else:
        index.write_text(stale if damage == "stale" else stale[:40])
    assert publish(bundle, tmp_path, card="two") == second
    entry = read_index(tmp_path)["instruments"]["violin"]
    assert [v["version"] for v in entry["versions"]] == [first.name, second.name]
    assert entry["latest"] == second.name


def test_an_unlisted_version_of_another_instrument_becomes_its_latest(bundle, bundles, tmp_path):
    publish(bundle, tmp_path, card="one")
    stale = (tmp_path / "index.json").read_text()
    second = publish(bundle, tmp_path, card="two")
    (tmp_path / "index.json").write_text(stale)
    flute = shutil.copytree(bundle, tmp_path.parent / f"{tmp_path.name}-flute")
    renamed(flute, instrument="flute")
    publish_bundle(flute, card="", to=tmp_path, instrument="flute")
    assert read_index(tmp_path)["instruments"]["violin"]["latest"] == second.name


def test_leftovers_of_a_killed_publisher_go(bundle, tmp_path):
    left = tmp_path / ".incoming-abc"
    left.mkdir()
    (left / "model.json").write_text("{")
    publish(bundle, tmp_path)
    assert not left.exists()


def test_a_full_disk_leaves_nothing_half(bundle, tmp_path, monkeypatch):
    first = publish(bundle, tmp_path, card="one")
    index = (tmp_path / "index.json").read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(TinyTimbreError, match="disk is full"):
        publish(bundle, tmp_path, card="two")
    assert names(tmp_path / "violin") == [first.name]
    assert (tmp_path / "index.json").read_bytes() == index
    assert names(tmp_path) == [".lock", "index.json", "violin"]


def test_a_file_in_the_way_is_explained(bundle, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TinyTimbreError, match="is a file"):
        publish(bundle, tmp_path / "file")
    with pytest.raises(TinyTimbreError, match="is a file"):
        publish(bundle, tmp_path / "file" / "below")


def test_only_whole_bundles_of_the_right_instrument(bundle, tmp_path):
    broken = shutil.copytree(bundle, tmp_path / "broken")
    (broken / "weights.bin").write_bytes(b"short")
    to = tmp_path / "out"
    with pytest.raises(TinyTimbreError, match=r"weights\.bin"):
        publish(broken, to)
    with pytest.raises(TinyTimbreError, match="trained on"):
        publish_bundle(bundle, card="", to=to, instrument="flute")
    for name in ("../violin", "", ".violin", "a/b"):
        with pytest.raises(TinyTimbreError, match="usable as a folder"):
            publish_bundle(bundle, card="", to=to, instrument=name)
    for name in ("../x", "/x", "model.json"):
        with pytest.raises(ValueError, match="extra files"):
            publish(bundle, to, extra_files={name: bundle / "model.json"})
    assert not to.exists()


def test_publishers_at_the_same_time_do_not_disturb_each_other(bundle, tmp_path):
    by_card = publish_at_once(bundle, tmp_path, orders=["abcd", "dcba", "bdac"])
    assert sorted(int(name.partition("-")[0]) for name in by_card.values()) == [1, 2, 3, 4]
    index = json.loads((tmp_path / "index.json").read_text())
    assert {v["version"] for v in index["instruments"]["violin"]["versions"]} == set(by_card.values())
    for version in (tmp_path / "violin").iterdir():
        validate_bundle(version)
