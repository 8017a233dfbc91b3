"""The command itself, in processes of its own, and the sweep that all tests of whole runs share."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import subprocess
import sys
from typing import Any

import yaml

from tinytimbre.audio.example import make_recordings

ROOT = pathlib.Path(__file__).resolve().parents[2]
SMOKE = ROOT / "configs" / "smoke.yaml"
DIVERGING = {
    "decoder": "gru", "input": "loudness", "harmonics": 8, "noise_bands": 9, "width": 4, "learning_rate": 1e30,
}  # fmt: skip
"""A configuration that every sweep here has besides: its weights leave every format with the first step."""


@dataclasses.dataclass(frozen=True)
class Sweep:
    recordings: pathlib.Path
    workspace: pathlib.Path
    config: pathlib.Path
    done: subprocess.CompletedProcess[str]

    @property
    def arguments(self) -> list[str]:
        return ["run", str(self.config), "--recordings", str(self.recordings), "--workspace", str(self.workspace)]


def run_sweep(folder: pathlib.Path) -> Sweep:
    """Local run of configs/smoke.yaml and one configuration that diverges, on two instruments and a broken file."""
    make_recordings(folder / "recordings")
    (folder / "recordings" / "reed" / "broken.wav").write_bytes(b"RIFF, but no more than that")
    config = folder / "sweep.yaml"
    config.write_text(yaml.safe_dump(values()))
    sweep = Sweep(folder / "recordings", folder / "workspace", config, subprocess.CompletedProcess([], 0))
    done = tinytimbre(*sweep.arguments)
    assert done.returncode == 0, done.stderr
    return dataclasses.replace(sweep, done=done)


def values() -> dict[str, Any]:
    """What the configuration of the shared sweep says."""
    values = yaml.safe_load(SMOKE.read_text())
    values["search"]["include"] = [DIVERGING]
    return dict(values)


def tinytimbre(*arguments: str, cwd: pathlib.Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=300, cwd=cwd, env=environment())


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "pipelines", *arguments]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def published(workspace: pathlib.Path) -> dict[str, pathlib.Path]:
    """Instrument → folder of its latest model."""
    index = json.loads((workspace / "models" / "index.json").read_text())["instruments"]
    return {name: workspace / "models" / name / entry["latest"] for name, entry in index.items()}
