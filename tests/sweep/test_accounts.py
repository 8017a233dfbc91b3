"""Accounts of rungs: parts add up, a killed rung leaves its own, and a sweep's sum says what is large."""

from __future__ import annotations

import pathlib
import time

import pytest

from tinytimbre.storage import Folder
from tinytimbre.sweep.accounts import Ledger, StageAccount, Stopwatch, bookkeeping, read_accounts


def account(rung: int, *, jobs: int = 2, wall: float = 100.0, **seconds: float) -> StageAccount:
    return StageAccount(
        rung=rung, jobs=jobs, trial_ids=("a", "b"), started=float(rung), wall_secs=wall, seconds=dict(seconds)
    )


def test_a_stopwatch_counts_by_part_also_where_the_work_fails() -> None:
    clock = Stopwatch()
    with clock.part("data"):
        time.sleep(0.01)
    before = clock.seconds["data"]
    with pytest.raises(RuntimeError), clock.part("data"):
        raise RuntimeError
    assert clock.seconds["data"] >= before >= 0.01


def test_workers_that_died_and_those_that_ended_are_told_apart(tmp_path: pathlib.Path) -> None:
    storage = Folder(tmp_path)
    ledger = Ledger(storage, stage="rung", rung=1, jobs=2, trial_ids=["a"])
    ledger.add({"training": 3.0, "start": 1.0}, lifetime_secs=5.0)
    (first,) = read_accounts(storage)
    assert {part: first.seconds[part] for part in ("training", "start", "end")} == {
        "training": 3.0,
        "start": 1.0,
        "end": 1.0,
    }
    ledger.add({}, lifetime_secs=7.0)
    (second,) = read_accounts(storage)
    assert second.seconds["lost"] == 7.0
    assert second.wall_secs >= first.wall_secs


def test_only_accounts_of_the_named_trials_are_read(tmp_path: pathlib.Path) -> None:
    for rung, trial in ((0, "a"), (1, "b")):
        ledger = Ledger(Folder(tmp_path), stage="rung", rung=rung, jobs=1, trial_ids=[trial])
        ledger.add({"training": 1.0}, lifetime_secs=1.0)
    assert [found.rung for found in read_accounts(Folder(tmp_path))] == [0, 1]
    assert [found.rung for found in read_accounts(Folder(tmp_path), trial_ids=["b", "c"])] == [1]
    assert read_accounts(Folder(tmp_path / "absent")) == []


def test_share_and_parts_of_a_sweep() -> None:
    parts = {"training": 160.0, "tracing": 30.0, "idle": 10.0}
    found = bookkeeping([account(0, **parts), account(1, **parts), account(1, wall=50, **parts)], stages_secs=10.0)
    # 3 x 200 worker seconds and twice the ten around them; 480 of the 620 were training.
    assert found.share == pytest.approx(1 - 480 / 620)
    assert [part for part, _ in found.others] == ["tracing", "idle", "stages"]
    assert found.others[0][1] == pytest.approx(90 / 620)
    assert found.wall_secs == {"rung 0": 100.0, "rung 1": 150.0}


def test_without_accounts_there_is_no_share() -> None:
    assert bookkeeping([]).share == 0.0
    assert bookkeeping([]).others == []
