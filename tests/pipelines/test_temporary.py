"""Where a run's temporary files are, and that the next start removes those of a killed one and nobody else's."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator

import pytest

from pipelines.temporary import temporary_folder

WORK = """
import multiprocessing, pathlib, subprocess, sys, tempfile, time
from pipelines.temporary import temporary_folder
with temporary_folder(pathlib.Path(sys.argv[1])):
    tempfile.mkdtemp(prefix="own-")
    subprocess.run([sys.executable, "-c", "import tempfile; tempfile.mkdtemp(prefix='child-')"], check=True)
    process = multiprocessing.get_context("forkserver").Process(target=tempfile.mkdtemp, kwargs={"prefix": "worker-"})
    process.start()
    process.join()
    print("at work", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def system(tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A folder in the system's place; short, as that is, for the sockets' sake."""
    with tempfile.TemporaryDirectory(prefix="t", dir="/tmp") as folder:
        yield pathlib.Path(folder)


def at_work(folder: pathlib.Path, *, system: pathlib.Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "TMPDIR": str(system)}
    process = subprocess.Popen(
        [sys.executable, "-c", WORK, str(folder)], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "at work\n"
    return process


def kinds(folder: pathlib.Path) -> set[str]:
    return {path.name.partition("-")[0] for path in folder.iterdir()}


def test_what_a_killed_run_left_is_removed_and_a_running_one_is_not_touched(
    tmp_path: pathlib.Path, system: pathlib.Path
) -> None:
    killed, running = tmp_path / "killed" / ("deep" * 30), tmp_path / "running"  # too deep for a socket's path
    first, other = at_work(killed, system=system), at_work(running, system=system)
    try:
        first.kill()
        first.wait()
        assert kinds(killed) == {"own", "child", "worker", "sockets"}
        assert kinds(system) == {"pymp"}
        assert len(list(system.iterdir())) == 2
        with temporary_folder(killed):
            assert kinds(killed) == {"sockets"}
            assert kinds(running) == {"own", "child", "worker", "sockets"}
            (sockets,) = system.iterdir()  # of the one that is still there
            assert any(path.is_socket() for path in sockets.iterdir())
        # A workspace may be copied while a run is at work in it.
        (link,) = running.glob("sockets-*")
        (tmp_path / "copy").mkdir()
        (tmp_path / "copy" / link.name).symlink_to(link.readlink())
        with temporary_folder(tmp_path / "copy"):
            assert list(system.iterdir()) == [sockets]
    finally:
        for process in (first, other):
            process.kill()
            process.communicate()


def test_it_lasts_as_long_as_the_run(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with temporary_folder(tmp_path / "tmp"):
        assert pathlib.Path(tempfile.mkdtemp()).parent == tmp_path / "tmp"
        assert os.environ["TMPDIR"] == str(tmp_path / "tmp")
    assert (os.environ["TMPDIR"], tempfile.gettempdir()) == (str(tmp_path), str(tmp_path))
    assert not (tmp_path / "tmp").exists()
