"""When a benchmark kills, what it finds equal, and that it leaves no process behind."""

from __future__ import annotations

import os
import pathlib
import sys
import time

import numpy as np
import pytest

from benchmarks.comparison import Snapshot, compare
from benchmarks.kills import LAST_MOMENT, Progress, lifetimes, table
from benchmarks.processes import session
from tinytimbre.errors import TinyTimbreError

FIRST: Snapshot = {
    "losses": {"a": np.array(1.0), "b": np.array(np.nan)},
    "weights": {"w": np.arange(4, dtype=np.float32)},
    "files": {"model.json": b"{}"},
    "chosen": {"flute": "a-uint8"},
}


def test_a_copy_is_equal() -> None:
    same = {group: {name: _copied(value) for name, value in values.items()} for group, values in FIRST.items()}
    rows = compare(FIRST, same)
    assert [row.group for row in rows] == list(FIRST)
    assert all(row.equal for row in rows)
    assert [row.compared for row in rows] == [2, 1, 1, 1]


@pytest.mark.parametrize(
    ("group", "name", "value", "max_abs"),
    [
        ("losses", "a", np.array(np.nextafter(1.0, 2.0)), 2.0**-52),
        ("losses", "b", np.array(1.0), np.inf),
        ("weights", "w", np.array([0, 1, 2, 3.5], np.float32), 0.5),
        ("weights", "w", np.array([-0.0, 1, 2, 3], np.float32), 0.0),
        ("weights", "w", np.arange(4.0), 0.0),
        ("weights", "w", np.arange(5, dtype=np.float32), None),
        ("files", "model.json", b"[]", None),
        ("chosen", "flute", "b-uint8", None),
    ],
)
def test_the_smallest_difference_is_found(group: str, name: str, value: object, max_abs: float | None) -> None:
    second = {**FIRST, group: {**FIRST[group], name: value}}
    changed = [row for row in compare(FIRST, second) if not row.equal]  # type: ignore[arg-type]
    assert [(row.group, row.different, row.only_in_one) for row in changed] == [(group, 1, 0)]
    assert changed[0].max_abs == max_abs
    assert name in changed[0].examples[0]
    assert changed[0].examples[0] in table(changed)


def test_what_only_one_has_is_a_difference() -> None:
    less = {**FIRST, "losses": {"a": np.array(1.0)}}
    for rows in (compare(FIRST, less), compare(less, FIRST), compare(FIRST, {**FIRST, "more": {"x": "y"}})):
        assert [(row.different, row.only_in_one) for row in rows if not row.equal] == [(0, 1)]


def test_kills_are_spread_over_the_sweep() -> None:
    found = lifetimes(200, expected_secs=1000, overhead_secs=0, seed=1)
    assert found == lifetimes(200, expected_secs=1000, overhead_secs=0, seed=1)
    assert found != lifetimes(200, expected_secs=1000, overhead_secs=0, seed=2)
    moments = np.cumsum(found) / 1000
    assert moments[-1] <= LAST_MOMENT + 1e-3  # each of 200 lifetimes is rounded to 0.01 s
    # Uniform: with 200 of them the distance to the uniform distribution is below 1.63 / sqrt(200) in 99 % of cases.
    assert np.abs(moments / LAST_MOMENT - np.arange(1, 201) / 200).max() < 1.63 / np.sqrt(200)


def test_every_start_but_the_first_is_given_its_overhead() -> None:
    plain, given = (lifetimes(5, expected_secs=100, overhead_secs=secs, seed=0) for secs in (0.0, 7.0))
    assert np.subtract(given, plain).tolist() == pytest.approx([0, 7, 7, 7, 7])


def test_a_benchmark_continues_with_the_same_settings_only(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "kills.json"
    Progress([1.0, 2.0], kills=[{"stage": "start"}]).save(path)
    assert Progress.load(path, lifetimes_secs=[1.0, 2.0]).kills == [{"stage": "start"}]
    with pytest.raises(TinyTimbreError, match="settings"):
        Progress.load(path, lifetimes_secs=[1.0, 3.0])


def test_a_killed_session_leaves_nothing_behind(tmp_path: pathlib.Path) -> None:
    code = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);"
    code += "print('ready', flush=True); time.sleep(600)"
    with session([sys.executable, "-c", code], log=tmp_path / "log", env=dict(os.environ)) as running:
        _until(lambda: "ready" in (tmp_path / "log").read_text() and len(running.members()) == 2)
        assert running.wait(timeout_secs=0) is None
        assert running.kill_group() == 2
        assert running.survivors() == []


def test_a_process_that_left_the_group_is_found_and_ended(tmp_path: pathlib.Path) -> None:
    code = "import subprocess, sys, time;"
    code += "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], process_group=0); time.sleep(600)"
    with session([sys.executable, "-c", code], log=tmp_path / "log", env=dict(os.environ)) as running:
        _until(lambda: len({os.getpgid(pid) for pid in running.members()}) == 2)
        os.killpg(running.process.pid, 9)
        running.process.wait()
        assert len(running.members()) == 1
    _until(lambda: not running.members())


def test_the_exit_code_of_a_command_that_ends(tmp_path: pathlib.Path) -> None:
    with session([sys.executable, "-c", "print('x'); exit(3)"], log=tmp_path / "log", env=dict(os.environ)) as running:
        assert running.wait(timeout_secs=60) == 3
    # gRPC, where another test has loaded it, may have said something before the program began.
    assert (tmp_path / "log").read_text().splitlines()[-1] == "x"


def _copied(value: object) -> object:
    return value.copy() if isinstance(value, np.ndarray) else value


def _until(condition: object, timeout_secs: float = 60) -> None:
    deadline = time.monotonic() + timeout_secs
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.02)
