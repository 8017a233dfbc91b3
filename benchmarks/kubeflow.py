"""A sweep as Kubeflow would run it beside the local run: `make bench-kubeflow`.

Runs the sweep locally, compiles it, runs the compiled file task by task (real entry point, TFX's own Kubeflow executor,
a simulated launcher and bucket) and compares what both have published. Then compiles sweeps of 32, 243 and 5,000
trials. The logs stay in the work folder; the last line is JSON, the exit code 0 where the published files are equal.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.comparison import files_of
from benchmarks.kills import FINISHED_CODES, Sweep, environment, sweep_parser
from benchmarks.kubeflow_run import RUN_LOG, complete
from benchmarks.options import exit_code, positive_int
from benchmarks.processes import session
from benchmarks.simulated_kubeflow import SimulatedRun
from pipelines.kubeflow.compiler import compile_pipeline
from pipelines.workspace import Workspace
from tinytimbre.config import SweepConfig
from tinytimbre.errors import TinyTimbreError
from tinytimbre.export.publish import read_index
from tinytimbre.sweep import plan_sweep

IMAGE = "registry.example.org/tinytimbre:0.1.0"
TRIALS = (32, 243, 5_000)
LARGE_SPACE: dict[str, Any] = {
    "decoder": ["gru", "cnn"], "input": ["loudness", "rms_energy"], "harmonics": list(range(10, 60)),
    "noise_bands": list(range(9, 59)), "width": [8, 12, 16, 24],
}  # fmt: skip


def sizes(config: SweepConfig, *, shards: int) -> Iterator[dict[str, int]]:
    """Tasks and bytes of the compiled file for searches of 32, 243 and 5,000 trials."""
    for n_trials in TRIALS:
        search = {"method": "sobol", "trials": n_trials, "space": LARGE_SPACE}
        sized = SweepConfig.model_validate({**config.model_dump(), "search": search})
        assert len(plan_sweep(sized, fingerprints={"any": ""}).trials) == n_trials
        compiled = compile_pipeline(sized, image=IMAGE, shards=shards)
        yield {"trials": n_trials, "tasks": compiled.n_tasks, "bytes": len(compiled.to_yaml())}


def run_locally(sweep: Sweep) -> pathlib.Path:
    """Runs the command, unless it has; gives the folder of the published models.

    Raises:
        TinyTimbreError: it failed.
    """
    workspace, log = Workspace(sweep.folder / "local"), sweep.folder / "local.log"
    with session(sweep.command(workspace), log=log, env=environment()) as running:
        code = running.process.wait()
    if code not in FINISHED_CODES:
        raise TinyTimbreError("the local run must end", got=f"exit code {code}", remedy=f"see {log}")
    return workspace.models


def run_compiled(sweep: Sweep, *, shards: int) -> tuple[pathlib.Path, dict[str, int]]:
    """Runs the compiled file, from the start; gives the folder of the published models, and its tasks and bytes."""
    folder = sweep.folder / "kubeflow"
    shutil.rmtree(folder, ignore_errors=True)
    config = sweep.settings()
    kubeflow = config.kubeflow.model_copy(update={"mount_path": str(folder / "volume")})
    compiled = compile_pipeline(config.model_copy(update={"kubeflow": kubeflow}), image=IMAGE, shards=shards)
    folder.mkdir(parents=True)
    (folder / "pipeline.yaml").write_bytes(compiled.to_yaml())
    parameters = {"recordings_digest": "first", "recordings": str(sweep.recordings)}
    root = {"root": folder / "cluster", "pipeline_root": "s3://bucket/runs/first"}
    run = SimulatedRun(compiled.pipeline, parameters=parameters, **root)
    complete(run, logs=folder / "logs", at_a_time=sweep.jobs)
    return folder / "volume" / "models", {"tasks": compiled.n_tasks, "bytes": len(compiled.to_yaml())}


def beside(local: pathlib.Path, kubeflow: pathlib.Path) -> Iterator[dict[str, Any]]:
    """Per instrument the model that each has published, and which of its files differ."""
    ours, theirs = read_index(kubeflow)["instruments"], read_index(local)["instruments"]
    for instrument in sorted({*ours, *theirs}):
        one, other = _latest(theirs.get(instrument)), _latest(ours.get(instrument))
        first, second = (
            files_of(place / instrument / found["version"]) if found else {}
            for place, found in ((local, one), (kubeflow, other))
        )
        different = sorted(name for name in {*first, *second} if first.get(name) != second.get(name))
        yield {"instrument": instrument, "local": one, "kubeflow": other, "files": len(first), "different": different}


def _latest(found: Mapping[str, Any] | None) -> dict[str, Any]:
    """The latest version of an instrument; empty where it has none."""
    if found is None:
        return {}
    (latest,) = [version for version in found["versions"] if version["version"] == found["latest"]]
    return dict(latest)


def _told(row: Mapping[str, Any]) -> Iterator[str]:
    yield f"{row['instrument']}:"
    for name in ("local", "kubeflow"):
        found = row[name]
        words = (
            f"{found['version']}: trial {found['trial_id']}, {found['quantisation']}, {found['bytes']:,} bytes"
            if found
            else "nothing published"
        )
        yield f"  {name:8} {words}"
    yield f"  {row['files']} files, " + (
        f"different: {', '.join(row['different'])}" if row["different"] else "all equal"
    )


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = sweep_parser(__doc__, work="workspaces/kubeflow")
    parser.add_argument("--shards", type=positive_int, default=2)
    parser.add_argument("--jobs", type=positive_int, default=len(os.sched_getaffinity(0)), help="tasks at a time")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs both and prints what differs; gives the exit code."""
    args = _arguments(argv)
    return exit_code(lambda: _measure(args))


def _measure(args: argparse.Namespace) -> int:
    sweep = Sweep.of(args)
    local = run_locally(sweep)
    kubeflow, compiled = run_compiled(sweep, shards=args.shards)
    rows, table = list(beside(local, kubeflow)), list(sizes(sweep.settings(), shards=args.shards))
    print((sweep.folder / "kubeflow" / "logs" / RUN_LOG).read_text())
    print("\n".join(line for row in rows for line in _told(row)))
    print(f"\ncompiled file of {sweep.settings().name}: {compiled['tasks']} tasks, {compiled['bytes'] / 1024:.0f} KiB")
    for row in table:
        print(f"  with a search of {row['trials']:5,} trials: {row['tasks']} tasks, {row['bytes'] / 1024:.0f} KiB")
    equal = bool(rows) and not any(row["different"] for row in rows)
    print(json.dumps({"equal": equal, "published": rows, "compiled": compiled, "sizes": table}))
    return 0 if equal else 1


if __name__ == "__main__":
    sys.exit(main())
