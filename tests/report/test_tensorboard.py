"""Event files read back with TensorBoard's own accumulator."""

from __future__ import annotations

import io
import pathlib

import numpy as np
import pandas as pd
import pytest
import soundfile
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.plugins.hparams import metadata

from tinytimbre.config import DistillationConfig, SweepConfig
from tinytimbre.report.tables import METRIC_COLUMNS
from tinytimbre.report.tensorboard import MAX_SOUND_SECS, MAX_SOUNDS, run_folder, write_evaluation, write_rung
from tinytimbre.sweep import RungResult, SweepPlan, TrialStore, plan_sweep
from tinytimbre.sweep.students import student
from tinytimbre.training.optimiser import learning_rate_at

RATE = 16_000


@pytest.fixture
def plan() -> SweepPlan:
    search = {"space": {"decoder": ["gru", "cnn"], "width": [4], "learning_rate": [0.01]}}
    values = {"name": "test", "search": search, "budget": {"rung_steps": [10, 30]}}
    return plan_sweep(SweepConfig.model_validate(values), fingerprints={"reed": "f"})


@pytest.fixture
def store(tmp_path: pathlib.Path, plan: SweepPlan) -> TrialStore:
    """The first trial finished both rungs, the second diverged in the first."""
    store = TrialStore(tmp_path / "trials")
    first, second = plan.trials
    losses = {5: {"train_loss": 9.0}, 10: {"train_loss": 8.0, "validation_loss": 8.5}, 30: {"train_loss": 5.0}}
    store.write_curve(first.trial_id, [{"step": step, **row} for step, row in losses.items()])
    store.write_curve(second.trial_id, [{"step": 10, "train_loss": float("nan")}])
    for rung, step in enumerate(plan.rungs):
        store.write_result(RungResult(trial_id=first.trial_id, rung=rung, step=step, status="done"))
    store.write_result(RungResult(trial_id=second.trial_id, rung=0, step=10, status="failed", reason="diverged"))
    return store


def scalars(accumulator: EventAccumulator, tag: str) -> list[tuple[int, float]]:
    return [(e.step, float(e.tensor_proto.float_val[0])) for e in accumulator.Tensors(tag)]


def loaded(folder: pathlib.Path) -> EventAccumulator:
    accumulator = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    accumulator.Reload()
    return accumulator


def rungs(plan: SweepPlan, store: TrialStore, folder: pathlib.Path) -> int:
    ids = [trial.trial_id for trial in plan.trials]
    return sum(write_rung(plan, trial_ids=ids, rung=rung, store=store, folder=folder) for rung in (0, 1))


def test_scalars_of_all_rungs_come_back_once(plan: SweepPlan, store: TrialStore, tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "boards"
    assert rungs(plan, store, folder) == 3
    assert rungs(plan, store, folder) == 0  # a resumed run adds nothing
    found = loaded(run_folder(plan.trials[0], folder))
    assert scalars(found, "train_loss") == [(5, 9.0), (10, 8.0), (30, 5.0)]
    assert scalars(found, "validation_loss") == [(10, 8.5)]
    expected = [(step, learning_rate_at(step, peak=0.01, total_steps=30)) for step in (5, 10, 30)]
    # float32 in the file
    assert scalars(found, "learning_rate") == [(step, pytest.approx(rate, rel=1e-6)) for step, rate in expected]
    assert np.isnan(scalars(loaded(run_folder(plan.trials[1], folder)), "train_loss")[0][1])


def test_a_student_is_there_from_its_start(plan: SweepPlan, store: TrialStore, tmp_path: pathlib.Path) -> None:
    folder, twin = tmp_path / "boards", plan.trials[0]
    taught = student(twin, teacher_id="t", steps=50, config=DistillationConfig())
    extended = plan.model_copy(update={"trials": (*plan.trials, taught)})
    rows: list[dict[str, float]] = [{"step": 5, "control_distance": 2.0}, {"step": 50, "train_loss": 4.0}]
    store.write_curve(taught.trial_id, rows)
    store.write_result(RungResult(trial_id=taught.trial_id, rung=1, step=50, status="done"))
    assert write_rung(extended, trial_ids=[taught.trial_id], rung=1, store=store, folder=folder) == 1
    found = loaded(run_folder(taught, folder))
    assert scalars(found, "control_distance") == [(5, 2.0)]
    assert scalars(found, "train_loss") == [(50, 4.0)]
    expected = [(step, learning_rate_at(step, peak=0.01, total_steps=50)) for step in (5, 50)]
    # float32 in the file
    assert scalars(found, "learning_rate") == [(step, pytest.approx(rate, rel=1e-6)) for step, rate in expected]
    content = found.SummaryMetadata(metadata.SESSION_START_INFO_TAG).plugin_data.content
    start = metadata.parse_session_start_info_plugin_data(content)
    assert start.hparams["distilled"].bool_value
    assert start.hparams["reverb_bands"].number_value == 0


def test_a_trial_that_will_be_tried_again_is_not_written_yet(
    plan: SweepPlan, store: TrialStore, tmp_path: pathlib.Path
) -> None:
    crashed = RungResult(trial_id=plan.trials[1].trial_id, rung=0, step=0, status="failed", repeatable=False)
    store.write_result(crashed)
    assert write_rung(plan, trial_ids=[crashed.trial_id], rung=0, store=store, folder=tmp_path / "boards") == 0


def evaluated(plan: SweepPlan, folder: pathlib.Path) -> tuple[pd.DataFrame, dict[str, list[pathlib.Path]]]:
    trial_id = plan.trials[0].trial_id
    rows = [
        {
            "candidate_id": f"{trial_id}-{kind}",
            "trial_id": trial_id,
            "quantisation": kind,
            "total_brotli": size,
            **{name: np.nan if name == "f0_cents" else size / 1000 for name in METRIC_COLUMNS},
        }
        for kind, size in (("float16", 9000), ("uint8", 6000))
    ]
    sounds: dict[str, list[pathlib.Path]] = {"reed": [], f"{trial_id}-float16": []}
    for index in range(MAX_SOUNDS + 1):
        audio = 0.5 * np.sin(np.arange(round(RATE * (MAX_SOUND_SECS + 1))) * (index + 1) / 50)
        for name, paths in sounds.items():
            path = folder / name / f"take{index}.flac"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, audio, RATE)
            paths.append(path)
    return pd.DataFrame(rows), sounds


def test_measures_and_bounded_sounds_come_back(plan: SweepPlan, store: TrialStore, tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "boards"
    rungs(plan, store, folder)
    candidates, sounds = evaluated(plan, tmp_path / "sounds")
    for _ in range(2):
        write_evaluation(plan, candidates=candidates, sounds=sounds, folder=folder)
    found = loaded(run_folder(plan.trials[0], folder))
    assert scalars(found, "log_spectral_db/uint8") == [(30, 6.0)]
    assert scalars(found, "size_brotli/float16") == [(30, 9000.0)]
    assert "f0_cents/uint8" not in found.Tags()["tensors"]
    for run in (found, loaded(folder / "reed" / "original")):
        heard = sorted(tag for tag in run.Tags()["tensors"] if tag.startswith("take"))
        assert heard == [f"take{index}" for index in range(MAX_SOUNDS)]
        (event,) = run.Tensors("take0")
        wav, label = event.tensor_proto.string_val
        audio, rate = soundfile.read(io.BytesIO(wav))
        assert (len(audio), rate, label) == (round(RATE * MAX_SOUND_SECS), RATE, b"")
        original, _ = soundfile.read(sounds["reed"][0], frames=len(audio))
        # 16 bits twice
        np.testing.assert_allclose(audio, original, atol=2 / 2**15)


def test_hyperparameters_and_their_metrics_are_known(
    plan: SweepPlan, store: TrialStore, tmp_path: pathlib.Path
) -> None:
    folder = tmp_path / "boards"
    rungs(plan, store, folder)
    candidates, sounds = evaluated(plan, tmp_path / "sounds")
    write_evaluation(plan, candidates=candidates, sounds=sounds, folder=folder)
    runs = EventMultiplexer()
    runs.AddRunsFromDirectory(str(folder))
    runs.Reload()
    contents = runs.PluginRunToTagToContent(metadata.PLUGIN_NAME)
    for trial in plan.trials:
        content = contents[f"reed/{trial.trial_id}"][metadata.SESSION_START_INFO_TAG]
        start = metadata.parse_session_start_info_plugin_data(content)
        assert start.hparams["decoder"].string_value == trial.decoder.kind
        assert start.hparams["learning_rate"].number_value == 0.01
    experiment = metadata.parse_experiment_plugin_data(contents["."][metadata.EXPERIMENT_TAG])
    assert {info.name.tag for info in experiment.metric_infos} >= {"validation_loss", "log_spectral_db/uint8"}
    assert {info.name for info in experiment.hparam_infos} >= {"decoder", "width", "learning_rate"}
