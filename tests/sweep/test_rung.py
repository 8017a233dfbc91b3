"""Rungs with real training on a tiny instrument: results, resuming after a kill, failures."""

from __future__ import annotations

import multiprocessing
import os
import pathlib
import signal
import threading
import time

import numpy as np
import pytest

from tinytimbre.config import SweepConfig
from tinytimbre.decoders import DecoderSpec, InputRange
from tinytimbre.errors import TinyTimbreError
from tinytimbre.features.examples import TakeFeatures, read_features, write_split
from tinytimbre.sweep import RungResult, SweepPlan, TrialStore, plan_sweep, promote, train_rung
from tinytimbre.sweep.accounts import PARTS, read_accounts
from tinytimbre.sweep.rung import side_by_side
from tinytimbre.sweep.trainer import clip_shape, divergence
from tinytimbre.training.clips import ClipPool
from tinytimbre.training.group import ModelGroup

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
    budget = {"rung_steps": list(steps), "strata": 2, **({"eta": 2} if len(steps) > 1 else {})}
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
    assert alone == together


@pytest.mark.parametrize(
    ("count", "size", "jobs"), [(16, 8, 2), (45, 8, 2), (21, 8, 2), (3, 8, 4), (7, 1, 2), (9, 4, 1)]
)
def test_groups_are_as_much_work_as_one_another(count: int, size: int, jobs: int) -> None:
    space = {"decoder": ["cnn"], "harmonics": [8], "noise_bands": [9], "width": list(range(4, 4 + count)), "depth": [3]}
    settings = SweepConfig.model_validate({"name": "many", "search": {"space": space}})
    trials = plan_sweep(settings, fingerprints={"tone": "f"}).trials
    groups = list(side_by_side(trials, size=size, jobs=jobs))
    assert sorted(trial.trial_id for group in groups for trial in group) == sorted(t.trial_id for t in trials)
    sizes = [len(group) for group in groups]
    assert max(sizes) <= size
    assert max(sizes) - min(sizes) <= 1
    assert len(groups) % jobs == 0 or len(groups) == count
    # Dealt forth and back, groups of as many trials differ by less than the largest trial.
    work = [sum(trial.parameters for trial in group) for group in groups if len(group) == max(sizes)]
    assert max(work) - min(work) <= max(trial.parameters for trial in trials)


def test_what_a_killed_process_had_finished_before_stays(tmp_path: pathlib.Path, features_dir: pathlib.Path) -> None:
    """One process has all four groups, and dies in the second: only the trials of that one are trained again."""
    settings, store = config(steps=(60,), side_by_side=1, checkpoint_secs=0.05), TrialStore(tmp_path)
    plan = plan_sweep(settings, fingerprints={"tone": "f"})
    ids = [trial.trial_id for trial in plan.trials]

    def kill_in_the_second() -> None:
        while not any(store.result(one, 0) for one in ids) or not any(
            store.checkpoint(one) and not store.result(one, 0) for one in ids
        ):
            time.sleep(0.01)
        os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)

    killer = threading.Thread(target=kill_in_the_second, daemon=True)
    killer.start()
    results = train_rung(
        plan, trial_ids=ids, rung=0, features_dir=str(features_dir), store=store, config=settings, jobs=1
    )
    assert not killer.is_alive()
    assert [result.status for result in results] == ["done"] * len(ids)
    (account,) = read_accounts(tmp_path)
    assert account.seconds["lost"] > 0


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


def test_a_learning_rate_beyond_reason_has_diverged_though_the_loss_is_finite(
    tmp_path: pathlib.Path, features_dir: pathlib.Path
) -> None:
    settings = config(steps=(12,))
    space = {**settings.search.space, "width": [4], "learning_rate": [1e-3, 1e6]}
    settings = settings.model_copy(update={"search": settings.search.model_copy(update={"space": space})})
    plan, store = plan_sweep(settings, fingerprints={"tone": "f"}), TrialStore(tmp_path)
    ids = [trial.trial_id for trial in plan.trials]
    results = train_rung(
        plan, trial_ids=ids, rung=0, features_dir=str(features_dir), store=store, config=settings, jobs=1
    )
    for trial, result in zip(plan.trials, results, strict=True):
        assert (result.status, result.reason[:8]) == (
            ("done", "") if trial.learning_rate < 1 else ("failed", "diverged")
        )


FINE = {"step": 4.0, "train_loss": 8.0, "validation_loss": 9.0}


@pytest.mark.parametrize(
    ("curve", "weight", "found"),
    [
        ([FINE], 0.0, ""),
        ([FINE], -60_000.0, ""),  # saturated, but a model: it plays something, and its metrics say how badly
        ([{**FINE, "train_loss": float("nan")}, FINE], 0.0, "training loss is nan"),
        ([{**FINE, "validation_loss": float("inf")}], 0.0, "validation loss is inf"),
        ([FINE], float("nan"), "the weights head_bias reach nan"),
        ([FINE], 70_000.0, "the weights head_bias reach 7e+04"),  # infinite in float16
    ],
)
def test_what_counts_as_divergence(curve: list[dict[str, float]], weight: float, found: str) -> None:
    assert divergence(curve, weights={"head_bias": np.full(3, weight, np.float32)}) == found


def test_controls_that_are_no_numbers_make_the_validation_loss_none(features_dir: pathlib.Path) -> None:
    """Every weight fits into float16, but their products do not fit into float32."""
    settings = config()
    pool = ClipPool(read_features(features_dir, split="validation"), shape=clip_shape(settings), warmup_frames=12)
    spec = DecoderSpec(kind="cnn", input="loudness", harmonics=2, noise_bands=3, width=2, depth=6)
    group = ModelGroup(
        [spec, spec],
        seeds=[0, 1],
        input_ranges=[InputRange()] * 2,
        learning_rates=[1e-3] * 2,
        total_steps=1,
        shape=pool.shape,
        config=settings.training,
    )
    state = {name: np.full_like(values, 60_000.0) for name, values in group.optimisers[0].state().items()}
    # The head's kernel [2, controls] and its bias [controls] come last: the second row of the kernel.
    state["average"][-2 * spec.n_controls : -spec.n_controls] *= -1
    group.optimisers[0].restore(state)
    losses = group.validation_losses(pool.validation_batches(max_batches=1))
    assert [bool(np.isfinite(loss)) for loss in losses] == [False, True]
    assert divergence([{"validation_loss": float(losses[0])}], weights={}) != ""


def test_the_account_of_a_rung_adds_up(tmp_path: pathlib.Path, features_dir: pathlib.Path) -> None:
    settings, store = config(), TrialStore(tmp_path)
    run(settings, store, features_dir)
    first, second = read_accounts(tmp_path)
    assert (first.rung, second.rung) == (0, 1)
    assert set(first.trial_ids) == set(store.trial_ids()) > set(second.trial_ids)
    for account in (first, second):
        assert set(account.seconds) <= set(PARTS)
        # Each part is rounded to a millisecond; a worker that is replaced may overlap with the next by the poll.
        assert sum(account.seconds.values()) == pytest.approx(account.jobs * account.wall_secs, rel=0.01)
        assert {"training", "tracing", "start", "data", "validation", "checkpoints"} <= set(account.seconds)
    trained = sum(result.train_seconds for each in store.trial_ids() for result in store.results(each))
    steps = sum(account.seconds["training"] + account.seconds["tracing"] for account in (first, second))
    assert trained == pytest.approx(steps, rel=0.01)


def test_a_worker_beyond_its_memory_fails_alone(tmp_path: pathlib.Path, features_dir: pathlib.Path) -> None:
    """17 million weights, their gradients, moments and average take 400 MB beside the 700 of TensorFlow."""
    settings = config(steps=(2,))
    search = settings.search.model_copy(
        update={"space": {**settings.search.space, "decoder": ["cnn"], "width": [4, 2048]}}
    )
    budget = settings.budget.model_copy(update={"worker_memory_mb": 950})
    settings = settings.model_copy(update={"search": search, "budget": budget})
    plan, store = plan_sweep(settings, fingerprints={"tone": "f"}), TrialStore(tmp_path)
    ids = [trial.trial_id for trial in plan.trials]
    results = train_rung(
        plan, trial_ids=ids, rung=0, features_dir=str(features_dir), store=store, config=settings, jobs=1
    )
    assert [result.status for result in results] == ["done", "failed"]
    assert "out of memory beyond 950 MB" in results[1].reason


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
