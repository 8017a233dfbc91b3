"""Rungs with real training on a tiny instrument: results, resuming after a kill, failures."""

from __future__ import annotations

import multiprocessing
import os
import pathlib
import signal
import time

import numpy as np
import pytest

from tinytimbre.config import SweepConfig
from tinytimbre.errors import TinyTimbreError
from tinytimbre.features.examples import TakeFeatures, write_split
from tinytimbre.sweep import RungResult, SweepPlan, TrialStore, plan_sweep, promote, train_rung

HOP = 320


def take(name: str, *, f0_hz: float, frames: int = 60) -> TakeFeatures:
    """A decaying harmonic tone with its true features."""
    seconds = np.arange(frames * HOP) / 16_000
    level = np.exp(-2 * seconds)
    audio = level * sum(np.sin(2 * np.pi * f0_hz * h * seconds) / h for h in range(1, 6)) * 0.2
    decibels = 20 * np.log10(0.2 * level[::HOP])
    return TakeFeatures(
        recording_id=name,
        take_id=name,
        instrument="tone",
        audio=audio.astype(np.float32),
        f0_hz=np.full(frames, f0_hz, np.float32),
        f0_confidence=np.ones(frames, np.float32),
        loudness_db=decibels.astype(np.float32),
        rms_energy_db=decibels.astype(np.float32),
    )


@pytest.fixture(scope="module")
def features_dir(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("features")
    write_split([take("a", f0_hz=220), take("b", f0_hz=330)], features_dir=folder, split="train")
    write_split([take("c", f0_hz=262)], features_dir=folder, split="validation")
    return folder


def config(*, steps: tuple[int, ...] = (4, 12), **training: object) -> SweepConfig:
    values = {"batch_size": 2, "clip_secs": 0.5, "fft_sizes": [512, 64], "side_by_side": 2, **training}
    space = {"harmonics": [8], "noise_bands": [9], "input": ["loudness"], "width": [4, 8], "depth": [1]}
    search = {"space": {"decoder": ["gru", "cnn"], **space}}
    budget = {"rung_steps": list(steps), "eta": 2, "strata": 2}
    return SweepConfig.model_validate({"name": "tiny", "search": search, "training": values, "budget": budget})


def run(settings: SweepConfig, store: TrialStore, features_dir: pathlib.Path, *, jobs: int = 2) -> dict[str, float]:
    """All rungs; returns every trial's last validation loss."""
    plan = plan_sweep(settings, fingerprints={"tone": "f"})
    ids, losses = [trial.trial_id for trial in plan.trials], {}
    for rung in range(len(plan.rungs)):
        results = train_rung(
            plan, trial_ids=ids, rung=rung, features_dir=str(features_dir), store=store, config=settings, jobs=jobs
        )
        losses.update({result.trial_id: result.validation_loss for result in results})
        ids = promote(plan, results, budget=settings.budget)
    return {trial_id: loss for trial_id, loss in losses.items() if loss is not None}


def test_training_lowers_the_loss_and_fills_the_store(tmp_path: pathlib.Path, features_dir: pathlib.Path) -> None:
    settings, store = config(steps=(4, 60)), TrialStore(tmp_path)
    plan = plan_sweep(settings, fingerprints={"tone": "f"})
    run(settings, store, features_dir)
    finalists = [trial for trial in plan.trials if store.result(trial.trial_id, 1)]
    assert 0 < len(finalists) < len(plan.trials)
    for trial in finalists:
        first, last = store.results(trial.trial_id)
        assert (first.step, last.step) == (4, 60)
        assert last.validation_loss is not None
        assert first.validation_loss is not None
        assert last.validation_loss < first.validation_loss
        curve = store.curve(trial.trial_id)
        steps = [row["step"] for row in curve]
        assert steps == sorted(set(steps))
        assert [row["step"] for row in curve if "validation_loss" in row] == [4, 60]
        assert store.load_decoder(trial.trial_id).spec == trial.decoder
        assert store.trial(trial.trial_id) == trial


def test_finished_rungs_are_not_trained_again(tmp_path: pathlib.Path, features_dir: pathlib.Path) -> None:
    settings, store = config(), TrialStore(tmp_path)
    losses = run(settings, store, features_dir)
    written = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npz")}
    assert run(settings, store, features_dir) == losses
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npz")} == written


def test_side_by_side_changes_nothing(tmp_path: pathlib.Path, features_dir: pathlib.Path) -> None:
    alone = run(config(side_by_side=1), TrialStore(tmp_path / "alone"), features_dir)
    together = run(config(side_by_side=4), TrialStore(tmp_path / "together"), features_dir, jobs=1)
    assert alone.keys() == together.keys()
    for trial_id, loss in alone.items():
        # Products of another shape round differently in float32; a dozen Adam steps amplify that a little.
        assert together[trial_id] == pytest.approx(loss, rel=1e-3)


def _sweep(root: str, features_dir: str, settings: SweepConfig) -> None:
    os.setpgid(0, 0)
    run(settings, TrialStore(root), pathlib.Path(features_dir))


def test_killed_sweep_ends_as_an_undisturbed_one(tmp_path: pathlib.Path, features_dir: pathlib.Path) -> None:
    settings = config(steps=(40, 80), checkpoint_secs=0.05)
    undisturbed = run(settings, TrialStore(tmp_path / "undisturbed"), features_dir)
    root = tmp_path / "killed"
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=_sweep, args=(str(root), str(features_dir), settings))
    process.start()
    deadline = time.monotonic() + 120
    while not list(root.glob("*/checkpoint.npz")) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert list(root.glob("*/checkpoint.npz")), "the sweep must have been killed after its first checkpoint"
    resumed = run(settings, TrialStore(root), features_dir)
    assert resumed.keys() == undisturbed.keys()
    for trial_id, loss in undisturbed.items():
        assert resumed[trial_id] == pytest.approx(loss, rel=1e-3)  # as above: groups may differ after the kill


def test_a_diverging_trial_is_recorded_and_does_not_stop_the_others(
    tmp_path: pathlib.Path, features_dir: pathlib.Path
) -> None:
    settings = config(steps=(12,))
    space = {**settings.search.space, "decoder": ["cnn"], "width": [4], "learning_rate": [1e-3, 1e39]}
    settings = settings.model_copy(update={"search": settings.search.model_copy(update={"space": space})})
    store = TrialStore(tmp_path)
    plan = plan_sweep(settings, fingerprints={"tone": "f"})
    ids = [trial.trial_id for trial in plan.trials]
    arguments = {"trial_ids": ids, "rung": 0, "features_dir": str(features_dir), "store": store, "jobs": 1}
    results = train_rung(plan, config=settings, **arguments)
    assert [result.status for result in results] == ["done", "failed"]
    assert "diverged" in results[1].reason
    strict = settings.model_copy(update={"budget": settings.budget.model_copy(update={"max_failed_share": 0.2})})
    with pytest.raises(TinyTimbreError, match="may fail"):
        train_rung(plan, config=strict, **arguments)


def test_a_crashing_trial_is_recorded(tmp_path: pathlib.Path, features_dir: pathlib.Path) -> None:
    """A features folder without the data makes the process end; the rung says so for each trial and stops."""
    settings = config(steps=(2,))
    plan: SweepPlan = plan_sweep(settings, fingerprints={"absent": "f"})
    store = TrialStore(tmp_path)
    with pytest.raises(TinyTimbreError, match="may fail"):
        train_rung(
            plan,
            trial_ids=[trial.trial_id for trial in plan.trials],
            rung=0,
            features_dir=str(features_dir),
            store=store,
            config=settings,
            jobs=2,
        )
    result = store.result(plan.trials[0].trial_id, 0)
    assert result is not None
    assert "exit code" in result.reason


def test_a_crashed_trial_is_tried_again(tmp_path: pathlib.Path, features_dir: pathlib.Path) -> None:
    settings, store = config(steps=(2,)), TrialStore(tmp_path)
    plan = plan_sweep(settings, fingerprints={"tone": "f"})
    ids = [trial.trial_id for trial in plan.trials]
    crashed = RungResult(trial_id=ids[0], rung=0, step=0, status="failed", reason="crashed", repeatable=False)
    diverged = RungResult(trial_id=ids[1], rung=0, step=0, status="failed", reason="diverged")
    for result in (crashed, diverged):
        store.write_result(result)
    results = train_rung(
        plan, trial_ids=ids, rung=0, features_dir=str(features_dir), store=store, config=settings, jobs=1
    )
    assert [result.status for result in results] == ["done", "failed", *["done"] * (len(ids) - 2)]


@pytest.mark.skipif(not pathlib.Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_stops_the_rung_and_blames_no_trial(tmp_path: pathlib.Path, features_dir: pathlib.Path) -> None:
    settings, store = config(steps=(2,), side_by_side=1), TrialStore(tmp_path)
    plan = plan_sweep(settings, fingerprints={"tone": "f"})
    ids = [plan.trials[0].trial_id]
    (store.folder(ids[0])).mkdir(parents=True)
    (store.folder(ids[0]) / "lock").symlink_to("/dev/full")
    # Writing anything into the lock file fails with ENOSPC, as every write does on a full disk.
    with pytest.raises(TinyTimbreError, match="room for checkpoints"):
        train_rung(plan, trial_ids=ids, rung=0, features_dir=str(features_dir), store=store, config=settings, jobs=1)
    assert store.result(ids[0], 0) is None
