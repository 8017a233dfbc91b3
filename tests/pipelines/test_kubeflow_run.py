"""The compiled file, run task by task as on Kubeflow, beside the local run of the same sweep."""

from __future__ import annotations

import pathlib
import time

import pytest
from local_sweep import Sweep, published, values

from benchmarks.comparison import files_of
from benchmarks.kubeflow import beside
from benchmarks.kubeflow_run import RUN_LOG, complete, started
from benchmarks.simulated_kubeflow import SimulatedRun
from components.trial_results import load_results, load_survivors
from pipelines.kubeflow.compiler import compile_pipeline
from pipelines.workspace import Workspace
from tinytimbre.config import SweepConfig
from tinytimbre.sweep import TrialStore

pytestmark = pytest.mark.e2e

SHARDS = 2
INTERRUPTED = "sweeptrainer-rung1-shard00"
MARK = 1_000.0
"""No loss is as large."""


def compiled_run(sweep: Sweep, folder: pathlib.Path) -> SimulatedRun:
    """Of one instrument of the shared sweep, with a checkpoint after every step: how often is no part of an id."""
    changed = {**values(), "instruments": ["reed"]}
    changed["training"]["checkpoint_secs"] = 0.001
    # A process of its own costs seconds, for TensorFlow.
    pods = {
        name: {"cpus": 1} for name in ("recording_example_gen", "sweep_trainer", "tfjs_exporter", "quality_evaluator")
    }
    changed["kubeflow"] = {"mount_path": str(folder / "volume"), "pods": pods}
    config = SweepConfig.model_validate(changed)
    compiled = compile_pipeline(config, image="tinytimbre:0.1.0", shards=SHARDS)
    parameters = {"recordings_digest": "first", "recordings": str(sweep.recordings)}
    return SimulatedRun(
        compiled.pipeline, root=folder / "cluster", pipeline_root="s3://bucket/runs/0c1d", parameters=parameters
    )


def test_the_compiled_file_ends_with_the_models_of_the_local_run(sweep: Sweep, tmp_path: pathlib.Path) -> None:
    run, logs = compiled_run(sweep, tmp_path), tmp_path / "logs"
    store = TrialStore(tmp_path / "volume" / "trials")
    complete(run, logs=logs, without=[INTERRUPTED])
    check_that_diverging_trials_fail_alone(run)

    trial_id, step = kill_in_the_middle(run, store, logs=logs)
    mark(store, trial_id, step=step)
    complete(run, logs=logs)

    assert set(run.done) == set(run.spec.root.dag.tasks)
    check_that_it_went_on(store, trial_id, step=step)
    local = TrialStore(Workspace(sweep.workspace).trials)
    assert len(store.trial_ids()) == 5
    for one in store.trial_ids():
        assert what_came_of(one, store) == what_came_of(one, local)
    ours, theirs = published(tmp_path / "volume"), published(sweep.workspace)
    assert sorted(ours) == ["reed"]
    assert ours["reed"].name == theirs["reed"].name  # it digests the files
    assert files_of(ours["reed"]) == files_of(theirs["reed"])
    rows = {row["instrument"]: row for row in beside(sweep.workspace / "models", tmp_path / "volume" / "models")}
    assert rows["reed"]["files"] == len(files_of(ours["reed"]))
    assert rows["reed"]["different"] == []
    assert f"{INTERRUPTED}: exit code 0" in (logs / RUN_LOG).read_text()


def what_came_of(trial_id: str, store: TrialStore) -> list[tuple[object, ...]]:
    return [(result.rung, result.step, result.status, result.validation_loss) for result in store.results(trial_id)]


def check_that_diverging_trials_fail_alone(run: SimulatedRun) -> None:
    made = [run.done[f"sweeptrainer-rung0-shard0{shard}"].artifacts["trials"].artifacts[0] for shard in range(SHARDS)]
    results = [load_results([run.stored(trials.uri)]) for trials in made]
    # The last of five configurations diverges, and the first shard has it.
    assert [[result.status for result in shard] for shard in results] == [["done", "done", "failed"], ["done", "done"]]
    assert results[0][-1].reason.startswith("diverged")
    assert [trials.metadata["n_failed"] for trials in made] == [1, 0]


def kill_in_the_middle(run: SimulatedRun, store: TrialStore, *, logs: pathlib.Path) -> tuple[str, int]:
    """Kills the pod, all of its processes, once one of its trials is past the rung before; gives trial and step."""
    promoted = run.done["rungpromoter-rung0"].artifacts["survivors"].artifacts[0]
    own = load_survivors(run.stored(promoted.uri))[0::SHARDS]
    with started(run, INTERRUPTED, logs=logs) as pod:
        while not any(step_of(store, trial_id) > 4 for trial_id in own):
            assert pod.wait(timeout_secs=0) is None, "it ended before it could be killed"
            time.sleep(0.005)
        pod.kill_group()
        assert not pod.survivors()
    assert not run.output_file(INTERRUPTED).exists()
    (trial_id,) = [one for one in own if step_of(store, one) > 4]
    assert store.result(trial_id, 1) is None
    return trial_id, step_of(store, trial_id)


def step_of(store: TrialStore, trial_id: str) -> int:
    found = store.checkpoint(trial_id)
    return found[0] if found else 0


def mark(store: TrialStore, trial_id: str, *, step: int) -> None:
    """Changes the loss of the last step in the learning curve: whoever trains that step again writes it anew."""
    rows = [row for row in store.curve(trial_id) if row["step"] <= step]
    assert rows[-1]["step"] == step
    rows[-1]["train_loss"] += MARK
    store.write_curve(trial_id, rows)


def check_that_it_went_on(store: TrialStore, trial_id: str, *, step: int) -> None:
    curve = store.curve(trial_id)
    assert [row["step"] for row in curve if row["train_loss"] > MARK] == [step]
    assert [row["step"] for row in curve] == list(range(1, 13))
