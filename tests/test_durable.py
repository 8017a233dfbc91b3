"""Whole or not at all, also with several writers and on a full disk."""

from __future__ import annotations

import errno
import os
import pathlib
import subprocess
import sys
import threading

import pytest

from tinytimbre.durable import link_or_copy, replacing, sync, write_whole


def test_a_file_is_replaced_and_nothing_is_left_beside_it(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "new" / "file"
    for content in (b"first", b"second"):
        write_whole(path, content)
        assert path.read_bytes() == content
    assert [each.name for each in path.parent.iterdir()] == ["file"]


def test_two_writers_of_one_file_do_not_meet(tmp_path: pathlib.Path) -> None:
    """Also where nothing tells them apart, neither process nor thread: containers number both alike."""
    path = tmp_path / "file"
    with replacing(path) as first:
        first.write_bytes(b"first")
        with replacing(path) as second:
            second.write_bytes(b"second, longer")
        assert path.read_bytes() == b"second, longer"
    assert path.read_bytes() == b"first"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_a_file_at_two_places_is_one_or_a_whole_copy(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"sound")
    link_or_copy(source, tmp_path / "new" / "linked")
    assert (tmp_path / "new" / "linked").samefile(source)

    def another_file_system(*_: object) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    monkeypatch.setattr(os, "link", another_file_system)
    link_or_copy(source, tmp_path / "new" / "copied")
    assert (tmp_path / "new" / "copied").read_bytes() == b"sound"
    assert not (tmp_path / "new" / "copied").samefile(source)
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["copied", "linked"]


def test_the_usual_permissions_apply(tmp_path: pathlib.Path) -> None:
    (tmp_path / "plain").touch()
    write_whole(tmp_path / "file", b"")
    assert (tmp_path / "file").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_writer_that_fails_leaves_the_old_file(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "file"
    write_whole(path, b"old")

    def fail() -> None:
        with replacing(path) as partial:
            partial.write_bytes(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_a_disk_that_fills_while_syncing_leaves_the_old_file(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_whole(tmp_path / "file", b"old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"old"


def test_a_killed_writer_leaves_the_old_file(tmp_path: pathlib.Path) -> None:
    write_whole(tmp_path / "file", b"old")
    script = (
        "import os, pathlib, signal, sys\nfrom tinytimbre.durable import replacing\n"
        "with replacing(pathlib.Path(sys.argv[1])) as partial:\n"
        "    partial.write_bytes(b'half')\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path / "file")], check=False)
    assert done.returncode == -9
    assert (tmp_path / "file").read_bytes() == b"old"


def test_writers_at_the_same_time_do_not_mix(tmp_path: pathlib.Path) -> None:
    contents = [bytes([letter]) * 100_000 for letter in b"abcd"]

    def write_often(content: bytes) -> None:
        for _ in range(20):
            write_whole(tmp_path / "file", content)
            assert (tmp_path / "file").read_bytes() in contents

    threads = [threading.Thread(target=write_often, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "file").read_bytes() in contents


def test_folders_can_be_synced(tmp_path: pathlib.Path) -> None:
    sync(tmp_path)
    with pytest.raises(FileNotFoundError):
        sync(tmp_path / "absent")
