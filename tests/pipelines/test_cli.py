"""What the command says before anything heavy is imported."""

from __future__ import annotations

import pathlib
import subprocess
import sys

import pytest
import soundfile

from pipelines.cli import main
from pipelines.commands import report
from tinytimbre.audio.example import RATE, note
from tinytimbre.errors import TinyTimbreError

ROOT = pathlib.Path(__file__).resolve().parents[2]
SMOKE = str(ROOT / "configs" / "smoke.yaml")
HEAVY = ("tensorflow", "tfx", "apache_beam", "pandas", "librosa", "numpy", "ml_metadata", "rich", "av", "kfp", "fsspec")


@pytest.fixture
def recordings(tmp_path: pathlib.Path) -> pathlib.Path:
    folder = tmp_path / "recordings" / "reed"
    folder.mkdir(parents=True)
    soundfile.write(folder / "a.wav", note(f0_hz=330, seconds=1, brightness=0.8, seed=0), RATE)
    return folder.parent


def test_help_imports_nothing_heavy() -> None:
    probe = (
        "import sys\nfrom pipelines.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        f"print('heavy:', [name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, cwd=ROOT, check=True)
    assert "heavy: []" in done.stdout
    for command in (
        "pull",
        "run",
        "plan",
        "compile",
        "submit",
        "fetch",
        "report",
        "publish",
        "render",
        "package",
        "status",
    ):
        assert f"    {command} " in done.stdout


def test_plan_counts_trials_and_trains_nothing(
    recordings: pathlib.Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(recordings.parent)
    assert main(["plan", SMOKE, "--recordings", str(recordings)]) == 0
    shown = capsys.readouterr().out
    assert "4 trials, 4 for each of reed" in shown
    assert "rung" in shown
    assert "GB for the largest worker" in shown
    assert "Disk: about" in shown
    assert [path.name for path in recordings.parent.iterdir()] == ["recordings"]


@pytest.mark.parametrize("command", ["run", "plan"])
def test_what_cannot_fit_into_memory_is_refused_before_anything_is_made(
    command: str, recordings: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "huge.yaml"
    training = "training: {batch_size: 100000, clip_secs: 60}"
    config.write_text(f"name: huge\nsearch:\n  space: {{width: [8]}}\n{training}\n")
    workspace = tmp_path / "workspace"
    assert main([command, str(config), "--recordings", str(recordings), "--workspace", str(workspace)]) == 2
    assert "must fit into the machine's memory" in capsys.readouterr().err
    assert not workspace.exists()


@pytest.mark.parametrize("command", ["run", "plan"])
def test_a_missing_folder_is_named_with_its_neighbour(
    command: str, recordings: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace = recordings.parent / "workspace"
    code = main([command, SMOKE, "--recordings", str(recordings) + "x", "--workspace", str(workspace)])
    errors = capsys.readouterr().err
    assert code == 2
    assert f"did you mean {recordings}?" in errors
    assert not workspace.exists()


def test_an_unknown_key_names_the_nearest(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "typo.yaml"
    config.write_text("name: typo\nsearch:\n  space:\n    width: [8]\nbudgett:\n  eta: 2\n")
    assert main(["run", str(config), "--recordings", str(tmp_path)]) == 2
    assert "did you mean 'budget'?" in capsys.readouterr().err


def test_an_unknown_instrument_names_the_nearest(recordings: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", SMOKE, "--recordings", str(recordings), "--instrument", "read"]) == 2
    assert "did you mean 'reed'?" in capsys.readouterr().err


def test_an_impossible_search_space_is_found_before_the_run(
    recordings: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "empty.yaml"
    config.write_text("name: empty\nsearch:\n  space: {width: [512]}\n  constraints: {max_parameters: 10}\n")
    workspace = str(tmp_path / "workspace")
    assert main(["run", str(config), "--recordings", str(recordings), "--workspace", workspace]) == 2
    assert "widen search.constraints" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["status"], ["report"], ["publish", "--instrument", "x", "--to", "y"]])
def test_a_folder_without_a_run_is_no_workspace(
    command: list[str], tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, str(tmp_path)]) == 2
    assert "a workspace is a folder in which `tinytimbre run`" in capsys.readouterr().err


def test_an_instrument_may_be_named_after_each_other(
    recordings: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["plan", SMOKE, "--recordings", str(recordings), "--instrument", "kazoo", "--instrument", "reed"]
    assert main(arguments) == 2
    assert "kazoo" in capsys.readouterr().err


@pytest.mark.parametrize("jobs", ["-1", "0", "1000000"])
def test_impossible_jobs_are_refused(jobs: str, recordings: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", SMOKE, "--recordings", str(recordings), "--jobs", jobs]) == 2
    assert "--jobs must be at least 1" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--workspace", "--publish-to"])
def test_places_that_are_files_are_refused_before_the_run(
    option: str, recordings: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    arguments = ["run", SMOKE, "--recordings", str(recordings), "--workspace", str(tmp_path / "workspace")]
    assert main([*arguments, option, str(tmp_path / "file")]) == 2
    assert "must be a folder that can be written" in capsys.readouterr().err


def test_outputs_of_the_report_are_checked_first(tmp_path: pathlib.Path) -> None:
    report._check_outputs(tmp_path / "new" / "report.html", tmp_path / "front.svg")
    for output, figure in ((tmp_path, None), (tmp_path / "r.html", tmp_path / "front.bmpp")):
        with pytest.raises(TinyTimbreError):
            report._check_outputs(output, figure)
