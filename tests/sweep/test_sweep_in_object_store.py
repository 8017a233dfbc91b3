"""A rung whose trials live in an object store, over a real socket, with a kill in between."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import pathlib
import signal
import time

import pytest

from tests.object_store import ObjectServer
from tests.sweep.test_rung import config, take
from tinytimbre.config import SweepConfig
from tinytimbre.features.examples import write_split
from tinytimbre.storage import ObjectStore, StorageError
from tinytimbre.sweep import TrialStore, plan_sweep, train_rung
from tinytimbre.sweep.accounts import read_accounts

STEPS = 60


def small() -> SweepConfig:
    """One rung of two trials, with a checkpoint after every step or two."""
    settings = config(steps=(STEPS,), checkpoint_secs=0.05)
    space = {**settings.search.space, "decoder": ["gru"]}
    return settings.model_copy(update={"search": settings.search.model_copy(update={"space": space})})


def _train(
    stores: list[TrialStore], features_dir: str, told: multiprocessing.connection.Connection | None = None
) -> None:
    """In a process of its own: its workers read the environment that it was started with."""
    os.setpgid(0, 0)
    plan = plan_sweep(small(), fingerprints={"tone": "f"})
    for store in stores:
        try:
            results = train_rung(
                plan,
                trial_ids=[trial.trial_id for trial in plan.trials],
                rung=0,
                features_dir=features_dir,
                store=store,
                config=small(),
                jobs=2,
            )
        except StorageError as error:
            results = error
        if told:
            told.send(results)


@pytest.fixture
def features_dir(tmp_path: pathlib.Path) -> str:
    write_split([take("a", f0_hz=220), take("b", f0_hz=330)], features_dir=tmp_path, split="train")
    write_split([take("c", f0_hz=262)], features_dir=tmp_path, split="validation")
    return str(tmp_path)


def start(*arguments: object) -> multiprocessing.process.BaseProcess:
    process = multiprocessing.get_context("spawn").Process(target=_train, args=arguments)
    process.start()
    return process


def test_a_killed_rung_in_an_object_store_ends_as_one_in_a_folder(
    bucket: str, s3: ObjectServer, features_dir: str, tmp_path: pathlib.Path
) -> None:
    there = TrialStore(ObjectStore(f"s3://{bucket}/trials", lease_secs=3.0))
    here = TrialStore(tmp_path / "trials")
    killed = start([there], features_dir)
    deadline = time.monotonic() + 300
    while not any(r.method == "PUT" and r.path.endswith("/checkpoint.npz") for r in list(s3.log)):
        assert killed.is_alive()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert killed.pid is not None
    os.kill(killed.pid, signal.SIGKILL)
    killed.join()
    assert there.all_results() == {}, "the rung must have been killed before its end"
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    resumed = start([there, here], features_dir, theirs)
    assert ours.poll(300)
    in_store = ours.recv()
    assert ours.poll(300)
    in_folder = ours.recv()
    resumed.join(60)
    assert [result.status for result in in_store] == ["done", "done"]
    for stored, kept in zip(in_store, in_folder, strict=True):
        assert (stored.trial_id, stored.step) == (kept.trial_id, STEPS)
        # Both trials of a killed group may stand at different steps, and then train in groups of their own.
        assert stored.validation_loss == pytest.approx(kept.validation_loss, rel=1e-3)
    assert {i: results[0] for i, results in there.all_results().items()} == {r.trial_id: r for r in in_store}
    assert there.trial_ids() == here.trial_ids()
    assert there.locked(there.trial_ids()) == set()
    trial_id = in_store[0].trial_id
    assert there.load_decoder(trial_id).spec == here.load_decoder(trial_id).spec
    assert [row["step"] for row in there.curve(trial_id)][-1] == STEPS
    assert len(read_accounts(there.storage)) >= 1
    names = {name.partition("/")[2] for name in there.storage.names(trial_id)}
    assert names == {name.partition("/")[2] for name in here.storage.names(trial_id)}


def test_a_store_that_goes_away_stops_the_rung_and_blames_no_trial(
    bucket: str, s3: ObjectServer, features_dir: str
) -> None:
    store = TrialStore(ObjectStore(f"s3://{bucket}/trials", lease_secs=60.0, attempts=2))
    s3.fault = lambda r: "drop" if r.method == "PUT" and r.path.endswith("/checkpoint.npz") else None
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    process = start([store], features_dir, theirs)
    assert ours.poll(300)
    error = ours.recv()
    process.join(60)
    assert isinstance(error, StorageError)
    assert "must answer" in error.rule
    assert store.address in error.got
    s3.calm()
    assert store.all_results() == {}
