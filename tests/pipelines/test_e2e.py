"""The command itself, in a process of its own, on synthesised recordings."""

from __future__ import annotations

import json
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator

import nbformat
import numpy as np
import pandas as pd
import pytest
import soundfile
import yaml
from local_sweep import ROOT, SMOKE, Sweep, command, environment, published, tinytimbre, values
from nbclient import NotebookClient

from benchmarks import scaling
from benchmarks.comparison import compare, snapshot
from benchmarks.finals import main as write_finals
from benchmarks.findings.__main__ import main as write_findings
from benchmarks.findings.sweeps import read_sweeps
from benchmarks.scaling_costs import read_costs
from pipelines.workspace import Workspace
from tinytimbre.audio.example import make_recordings
from tinytimbre.config import load_config
from tinytimbre.report.tables import METRIC_COLUMNS

pytestmark = pytest.mark.e2e

CHATTER = ("cuda", "oneDNN", "absl", "WARNING", "Traceback")


def winners(workspace: pathlib.Path) -> dict[str, tuple[str, str]]:
    settings = {name: json.loads((path / "settings.json").read_text()) for name, path in published(workspace).items()}
    return {name: (own["trial_id"], own["quantisation"]) for name, own in settings.items()}


def test_a_model_of_each_instrument_is_published(sweep: Sweep) -> None:
    models = published(sweep.workspace)
    assert sorted(models) == ["flue", "reed"]
    for path in models.values():
        assert {file.name for file in path.iterdir()} >= {"model.json", "weights.bin", "settings.json", "card.md"}


def test_the_outcome_is_told(sweep: Sweep) -> None:
    assert "What ships" in sweep.done.stdout
    assert f"report: {sweep.workspace / 'report.html'}" in sweep.done.stdout
    assert "next: " in sweep.done.stdout
    assert "left out: reed/broken.wav" in sweep.done.stdout


def test_chatter_goes_to_the_log(sweep: Sweep) -> None:
    assert not [word for word in CHATTER if word in sweep.done.stderr + sweep.done.stdout]
    assert "Training, rung 2: 32 of 32 steps" in sweep.done.stderr
    assert "Fine-tuning for 3 bits: 16 of 16 steps" in sweep.done.stderr
    assert list((sweep.workspace / "logs").glob("*.log"))


def test_the_report_stands_alone(sweep: Sweep) -> None:
    page = (sweep.workspace / "report.html").read_text()
    assert "<audio" in page
    assert 'src="http' not in page
    assert "reed" in page


def test_the_smoke_command_ends_in_a_browser() -> None:
    done = tinytimbre("smoke")
    assert done.returncode == 0, done.stderr
    assert "all is well: in Chrom" in done.stdout
    assert "wasm" in done.stdout


def test_lineage_leads_from_the_model_to_the_recordings(sweep: Sweep) -> None:
    shown = tinytimbre("status", str(sweep.workspace)).stdout
    card = (published(sweep.workspace)["reed"] / "card.md").read_text()
    trial_id = winners(sweep.workspace)["reed"][0]
    assert f"trial: {trial_id}" in shown
    assert trial_id in card
    assert "Recordings 1 → Features 2 → SweepPlan 3" in shown
    assert "9 (" in shown  # recordings of the reed that were used; the broken one was not
    for recording_id in shown.partition("recordings: 9 (")[2].partition(", …")[0].split(", "):
        assert recording_id in card or recording_id in (published(sweep.workspace)["flue"] / "card.md").read_text()


def test_a_sweep_can_be_compared_bit_for_bit(sweep: Sweep) -> None:
    found = snapshot(Workspace(sweep.workspace))
    rows = {row.group: row for row in compare(found, found)}
    assert all(row.equal for row in rows.values())
    assert rows["chosen models"].compared == 2
    # A status and a loss of 8 trials in the first rung and 4 in the second, and 2 that diverged and have no loss.
    assert rows["rung results"].compared == 2 * (8 + 4) + 2
    assert rows["quality, per clip"].compared >= 4 * 3 * len(METRIC_COLUMNS)
    assert {"model.json", "weights.bin", "settings.json"} <= {name.split("/")[-1] for name in found["exported bundles"]}
    assert "reed/card.md" in found["published files"]
    assert any(array.size > 1 for array in found["weights"].values() if not isinstance(array, (str, bytes)))


def test_costs_of_a_larger_sweep_are_read_from_this_one(sweep: Sweep, capsys: pytest.CaptureFixture[str]) -> None:
    costs = read_costs(Workspace(sweep.workspace))
    assert [len(rung.training_secs) for rung in costs.rungs] == [8, 4]
    assert all((rung.training_secs > 0).all() and rung.overhead_secs > 0 for rung in costs.rungs)
    weights = {path.stat().st_size for path in (sweep.workspace / "trials").glob("*/weights-1.npz")}
    assert set(costs.rungs[1].weights_bytes) == weights
    assert min(costs.start_secs, costs.features_secs, costs.finalist_secs) > 0
    options = ["--instruments", "20", "--configurations", "12", "--draws", "2"]
    assert scaling.main(["--workspace", str(sweep.workspace), *options]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [row["instruments_a_run"] for row in told["fleets"]] == [1, 10]
    assert scaling.main(["--workspace", str(sweep.workspace / "absent")]) == 2


def test_a_workspace_turns_into_findings_and_into_finals(sweep: Sweep, tmp_path: pathlib.Path) -> None:
    [found] = read_sweeps([sweep.workspace])
    assert found.config == load_config(sweep.workspace / "config.yaml")
    assert found.wall_secs > 0
    assert write_findings([str(sweep.workspace), "--output", str(tmp_path)]) == 0
    assert "| flue |" in (tmp_path / "findings.md").read_text()
    assert write_finals([str(sweep.workspace), "--output", str(tmp_path / "finals.yaml"), "--instrument", "reed"]) == 0
    planned = tinytimbre("plan", str(tmp_path / "finals.yaml"), "--recordings", str(sweep.recordings))
    assert planned.returncode == 0, planned.stderr


def test_models_of_recordings_without_terms_are_not_gathered(sweep: Sweep, tmp_path: pathlib.Path) -> None:
    refused = tinytimbre("collect", str(sweep.workspace / "models"), "--to", str(tmp_path / "gathered"))
    assert refused.returncode == 2
    assert "has no licence" in refused.stderr


def test_the_tables_hold_every_trial_and_candidate(sweep: Sweep) -> None:
    (selection,) = (sweep.workspace / "artifacts" / "ModelSelector" / "selection").iterdir()
    trials = pd.read_parquet(selection / "trials.parquet")
    candidates = pd.read_parquet(selection / "candidates.parquet")
    assert trials["status"].value_counts().to_dict() == {"done": 4, "stopped": 4, "failed": 2}
    quantisations = load_config(SMOKE).export.quantisations
    assert set(candidates["quantisation"]) == set(quantisations)
    assert len(candidates) == len(quantisations) * (trials["status"] == "done").sum()
    assert (candidates["status"] == "evaluated").all()
    # Both compute in float32; see TFJS_TOLERANCE.
    assert candidates["tfjs_max_abs_error"].max() < 1e-5


def test_a_second_run_does_nothing_anew(sweep: Sweep) -> None:
    before = winners(sweep.workspace)
    done = tinytimbre(*sweep.arguments)
    assert done.returncode == 0, done.stderr
    assert "of" not in done.stderr.partition("Starting TensorFlow and TFX")[2]  # no stage had anything to count
    assert winners(sweep.workspace) == before
    shown = tinytimbre("status", str(sweep.workspace)).stdout
    assert shown.count("done before") == 11


def test_status_tells_the_stages_apart(sweep: Sweep) -> None:
    shown = tinytimbre("status", str(sweep.workspace)).stdout
    for words in ("wall time of rung 0: ", "wall time of rung 1: ", "wall time of fine-tuning: "):
        assert words in shown
    assert "distillation" not in shown
    assert re.search(r"fine-tuning, tuned3 *│ *4 *│ *0 ", shown)


def test_gates_can_change_without_training_again(sweep: Sweep, tmp_path: pathlib.Path) -> None:
    changed = values()
    changed["gates"]["absolute_log_spectral_db"] = 0.001
    strict = tmp_path / "strict.yaml"
    strict.write_text(yaml.safe_dump(changed))
    done = tinytimbre("run", str(strict), *sweep.arguments[2:])
    assert done.returncode == 3  # finished, but nothing qualifies
    assert "none qualifies" in done.stdout
    assert "Training" not in done.stderr
    assert tinytimbre(*sweep.arguments).returncode == 0


def test_a_deleted_publication_comes_back(sweep: Sweep) -> None:
    before = winners(sweep.workspace)
    for path in published(sweep.workspace).values():
        (path / "model.json").unlink()
        path.rename(path.with_name("old-" + path.name))
    assert tinytimbre(*sweep.arguments).returncode == 0
    assert winners(sweep.workspace) == before


def test_publish_is_a_dry_run_unless_confirmed(sweep: Sweep, tmp_path: pathlib.Path) -> None:
    arguments = ["publish", str(sweep.workspace), "--instrument", "reed", "--to", str(tmp_path / "out")]
    dry = tinytimbre(*arguments)
    assert dry.returncode == 0
    assert "nothing was written" in dry.stdout
    assert not (tmp_path / "out").exists()
    real = tinytimbre(*arguments, "--yes")
    assert real.returncode == 0, real.stderr
    assert (tmp_path / "out" / "index.json").is_file()
    start = winners(sweep.workspace)["reed"][0][:8]
    named = tinytimbre(*arguments, "--trial", f"{start}-float32")
    assert named.returncode == 0, named.stderr
    assert "float32" in named.stdout
    unknown = tinytimbre(*arguments, "--trial", "no-such")
    assert unknown.returncode == 2
    assert "must name one exported trial" in unknown.stderr


def test_report_is_built_again(sweep: Sweep, tmp_path: pathlib.Path) -> None:
    done = tinytimbre("report", str(sweep.workspace), "--output", str(tmp_path / "again.html"))
    assert done.returncode == 0, done.stderr
    assert "<audio" in (tmp_path / "again.html").read_text()


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_every_notebook_runs_from_top_to_bottom(sweep: Sweep, path: pathlib.Path, tmp_path: pathlib.Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "notebooks are stored without outputs"
    (parameters,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    places = {"workspace": sweep.workspace, "publish_to": tmp_path / "out", "answers_file": tmp_path / "answers.json"}
    parameters.source += "".join(f"\n{name} = {str(place)!r}" for name, place in places.items()) + "\npublish = True"
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute(cwd=str(path.parent))
    assert any("image/png" in output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", []))
    assert (tmp_path / "out" / "index.json").is_file() == (path.stem == "publishing")
    assert (tmp_path / "answers.json").is_file() == (path.stem == "listening")


def test_render_plays_a_recording(sweep: Sweep, tmp_path: pathlib.Path) -> None:
    source = sweep.recordings / "flue" / "04.wav"
    done = tinytimbre("render", str(published(sweep.workspace)["reed"]), str(source), str(tmp_path / "out.wav"))
    assert done.returncode == 0, done.stderr
    audio, rate = soundfile.read(tmp_path / "out.wav")
    assert len(audio) / rate == pytest.approx(soundfile.info(source).duration, abs=0.03)  # whole frames of 20 ms
    assert np.abs(audio).max() > 0


@pytest.fixture
def system_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[pathlib.Path]:
    """In the place of the system's folder for temporary files; short, as that is, since sockets are made there."""
    with tempfile.TemporaryDirectory(prefix="t", dir="/tmp") as folder:
        monkeypatch.setenv("TMPDIR", folder)
        yield pathlib.Path(folder)


def test_killed_three_times_it_ends_with_the_same_winners(
    sweep: Sweep, tmp_path: pathlib.Path, system_folder: pathlib.Path
) -> None:
    workspace = tmp_path / "workspace"
    arguments = [*sweep.arguments[:-1], str(workspace)]
    stages: list[Callable[[], bool]] = [
        lambda: any(workspace.glob("cache/features/*/*.example")),
        lambda: any(workspace.glob("trials/*/rung-0.json")),
        lambda: any(workspace.glob("cache/evaluations/*/clips.json")),
    ]
    for reached in stages:
        _kill_when(reached, arguments)
    assert not (workspace / "report.html").exists()
    assert "interrupted" in tinytimbre("status", str(workspace)).stdout
    done = tinytimbre(*arguments)
    assert done.returncode == 0, done.stderr
    assert winners(workspace) == winners(sweep.workspace)
    assert list(system_folder.iterdir()) == []  # of none of the four runs
    assert not (workspace / "tmp").exists()


def _kill_when(reached: Callable[[], bool], arguments: list[str]) -> None:
    """Starts the command and kills -9 its process, and only that, as soon as the condition holds."""
    process = subprocess.Popen(
        command(*arguments), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment()
    )
    try:
        while not reached():
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.02)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def test_ctrl_c_says_that_the_same_command_continues(sweep: Sweep, tmp_path: pathlib.Path) -> None:
    arguments = [*sweep.arguments[:-1], str(tmp_path / "workspace")]
    process = subprocess.Popen(
        command(*arguments), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment()
    )
    while not (tmp_path / "workspace" / "trials").exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the same command continues" in errors
    assert "Traceback" not in errors


def test_two_runs_do_not_share_a_workspace(sweep: Sweep) -> None:
    holder = (
        "import fcntl, sys, time; file = open(sys.argv[1], 'w'); fcntl.lockf(file, fcntl.LOCK_EX); "
        "print('held', flush=True); time.sleep(60)"
    )
    lock = str(sweep.workspace / ".lock")
    with subprocess.Popen([sys.executable, "-c", holder, lock], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            done = tinytimbre(*sweep.arguments)
        finally:
            process.kill()
    assert done.returncode == 2
    assert "one run at a time" in done.stderr


def test_a_single_recording_leaves_nothing_to_hold_out(tmp_path: pathlib.Path) -> None:
    make_recordings(tmp_path / "recordings", instruments=("reed",), notes=1)
    done = tinytimbre(
        "run", str(SMOKE), "--recordings", str(tmp_path / "recordings"), "--workspace", str(tmp_path / "workspace")
    )
    assert done.returncode == 2
    assert done.stderr.count("error: ") == 1
    assert "way out: " in done.stderr
    assert "Traceback" not in done.stderr


def test_a_sweep_killed_while_distilling_ends_with_students_in_its_report(sweep: Sweep, tmp_path: pathlib.Path) -> None:
    changed = values()
    # One harmonic cannot play the eight of the recordings, so the larger model teaches the smaller.
    space = {"decoder": ["gru"], "input": ["loudness"], "harmonics": [1, 8], "noise_bands": [9], "width": [4]}
    changed |= {"instruments": ["reed"], "search": {"space": space}, "export": {"quantisations": ["uint8"]}}
    changed["training"]["checkpoint_secs"] = 0.05
    changed["budget"] = {"rung_steps": [20], "strata": 1}
    changed["distillation"] = {"enabled": True, "steps": 400}
    config, workspace = tmp_path / "distil.yaml", tmp_path / "workspace"
    config.write_text(yaml.safe_dump(changed))
    arguments = ["run", str(config), *sweep.arguments[2:-1], str(workspace)]
    _kill_when(lambda: any("control" in path.read_text() for path in workspace.glob("trials/*/curve.jsonl")), arguments)
    done = tinytimbre(*arguments)
    assert done.returncode == 0, done.stderr
    assert "Distilling: " in done.stderr
    assert "reed: 1 model distilled from" in done.stdout
    assert "Did distillation pay?" in (workspace / "report.html").read_text()
    shown = tinytimbre("status", str(workspace)).stdout
    assert "StudentPlanner" in shown
    assert "wall time of distillation: " in shown
    assert re.search(r"distillation *│ *1 *│ *0 ", shown)
