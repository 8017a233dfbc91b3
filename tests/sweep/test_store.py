"""Damaged files of a trial are named, with what to delete."""

from __future__ import annotations

import pathlib

import numpy as np
import pytest

from tinytimbre.errors import TinyTimbreError
from tinytimbre.sweep import RungResult, TrialStore


@pytest.fixture
def store(tmp_path: pathlib.Path) -> TrialStore:
    store = TrialStore(tmp_path)
    store.write_result(RungResult(trial_id="t", rung=0, step=4, status="done", validation_loss=1.0))
    store.write_checkpoint("t", step=4, state={"w": np.zeros(100)})
    return store


def folder(store: TrialStore) -> pathlib.Path:
    return pathlib.Path(store.address) / "t"


@pytest.mark.parametrize("kept", [0, 100])
def test_a_checkpoint_cut_short(store: TrialStore, kept: int) -> None:
    path = folder(store) / "checkpoint.npz"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(TinyTimbreError, match="must be whole") as caught:
        store.checkpoint("t")
    assert caught.value.got == str(path)


def test_a_result_cut_short(store: TrialStore) -> None:
    (folder(store) / "rung-0.json").write_bytes(b"")
    with pytest.raises(TinyTimbreError, match="delete the folder t "):
        store.result("t", 0)
    with pytest.raises(TinyTimbreError, match="must be whole"):
        store.results("t")


def test_what_a_killed_process_left_is_removed(store: TrialStore) -> None:
    left = folder(store) / ".checkpoint.npz.1-1"
    left.touch()
    with store.lock("t"):
        assert not left.exists()
    assert store.checkpoint("t") is not None


def test_a_held_trial_is_locked_and_a_released_one_is_not(tmp_path: pathlib.Path) -> None:
    store = TrialStore(tmp_path)
    assert store.locked(["t"]) == set()
    with store.lock("t"):
        assert store.locked(["t", "u"]) == {"t"}
    assert store.locked(["t"]) == set()
