"""Components run as on Kubeflow: compiled arguments, a launcher's message with URIs, TFX's own Kubeflow executor."""

from __future__ import annotations

import pathlib
import signal

import pytest

from benchmarks.simulated_kubeflow import SimulatedRun
from components.recording_example_gen.executor import Executor
from pipelines.kubeflow import entry_point
from pipelines.kubeflow.compiler import compile_pipeline
from tinytimbre.audio.example import make_recordings
from tinytimbre.audio.recording import RecordingSet
from tinytimbre.config import load_config
from tinytimbre.features.artifact import load_index
from tinytimbre.sweep import SweepPlan

ROOT = pathlib.Path(__file__).resolve().parents[2]
SMOKE = load_config(ROOT / "configs" / "smoke.yaml")


@pytest.fixture
def volume(tmp_path: pathlib.Path) -> pathlib.Path:
    make_recordings(tmp_path / "volume" / "recordings", instruments=("reed",), notes=5)
    return tmp_path / "volume"


@pytest.fixture
def run(volume: pathlib.Path, tmp_path: pathlib.Path) -> SimulatedRun:
    return _run(volume, root=tmp_path / "container", pipeline_root="minio://mlpipeline/v2/artifacts/tinytimbre/0c1d")


def _run(volume: pathlib.Path, *, root: pathlib.Path, pipeline_root: str, **parameters: object) -> SimulatedRun:
    kubeflow = SMOKE.kubeflow.model_copy(update={"mount_path": str(volume)})
    config = SMOKE.model_copy(update={"kubeflow": kubeflow})
    compiled = compile_pipeline(config, image="tinytimbre:0.1.0", shards=2)
    given = {"recordings_digest": "first", **parameters}
    return SimulatedRun(compiled.pipeline, root=root, pipeline_root=pipeline_root, parameters=given)


def start(run: SimulatedRun, task: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """In this process: TFX takes seconds to import."""
    monkeypatch.setenv(entry_point.ROOT_VARIABLE, str(run.pod(task)))
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # those of the test runner stay
    for variable in run.container(task).env:
        monkeypatch.setenv(variable.name, variable.value)
    return entry_point.main(run.arguments(task))


@pytest.mark.parametrize("pipeline_root", ["minio://mlpipeline/v2/artifacts", "s3://bucket/runs", "gs://bucket/runs"])
def test_components_hand_on_their_artifacts(
    pipeline_root: str, volume: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = _run(volume, root=tmp_path / "container", pipeline_root=pipeline_root, budget_scale=2.0)
    for task in ("recordingexamplegen", "featureextractor", "sweepplanner"):
        assert start(run, task, monkeypatch) == 0
        run.finish(task)
    made = {task: answer.artifacts for task, answer in run.done.items()}
    recordings = made["recordingexamplegen"]["recordings"].artifacts[0]
    assert recordings.uri == f"{pipeline_root}/recordingexamplegen/recordings"
    assert recordings.metadata["accepted"] == 5
    assert recordings.metadata["instruments"] == "reed"
    assert len(RecordingSet.load(run.stored(recordings.uri)).accepted("reed")) == 5
    features = made["featureextractor"]["features"].artifacts[0]
    fingerprints = load_index(run.stored(features.uri)).fingerprints
    plan = SweepPlan.load(run.stored(made["sweepplanner"]["plan"].artifacts[0].uri))
    assert plan.instruments == list(fingerprints) == ["reed"]
    # As a run writes it that names the cluster's volume: budget_scale = 2 of rung_steps = [4, 12].
    assert plan.rungs == (8, 24)


def test_a_retry_in_the_same_directory_starts_afresh(
    run: SimulatedRun, volume: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first attempt is killed after it has written half of its output and an empty answer."""
    task, ingest = "recordingexamplegen", Executor.Do

    def killed(self: Executor, inputs: object, outputs: dict, properties: object) -> None:
        ingest(self, inputs, outputs, properties)  # type: ignore[arg-type]
        folder = pathlib.Path(outputs["recordings"][0].uri)
        (folder / "recordings.json").write_text('{"half')
        (folder / "left over").touch()
        run.output_file(task).touch()
        raise KeyboardInterrupt

    monkeypatch.setattr(Executor, "Do", killed)
    assert start(run, task, monkeypatch) == 130
    monkeypatch.setattr(Executor, "Do", ingest)
    assert run.output_file(task).read_bytes() == b""
    assert start(run, task, monkeypatch) == 0
    answer = run.finish(task).artifacts["recordings"].artifacts[0]
    assert answer.metadata["accepted"] == 5
    assert not (run.local(answer.uri, task) / "left over").exists()
    assert len(RecordingSet.load(run.stored(answer.uri)).accepted("reed")) == 5
    # And once more after an attempt whose answer was whole.
    assert start(run, task, monkeypatch) == 0
    assert run.finish(task).artifacts["recordings"].artifacts[0].metadata["accepted"] == 5


def test_what_the_user_can_mend_is_said_and_leaves_no_answer(
    volume: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for recordings, message in ((str(volume / "none"), "none"), ("s3://bucket/recordings", "mounted volume")):
        run = _run(volume, root=tmp_path / "container", pipeline_root="s3://b/runs", recordings=recordings)
        assert start(run, "recordingexamplegen", monkeypatch) == 2
        errors = capsys.readouterr().err
        assert message in errors
        assert "Traceback" not in errors
        assert not run.output_file("recordingexamplegen").exists()
