"""Whether a sweep that is killed again and again ends as an undisturbed one: `make bench-kills`.

The same sweep runs twice: undisturbed, and in another workspace where SIGKILL ends its whole process group at random
moments, after each of which it is continued. Then choice, rung results, weights, quality and bundles are compared bit
for bit. Interrupted itself, the same command continues. The last line is JSON; the exit code is 0 where all is equal
and every kill hit, else 1.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import pathlib
import shutil
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import yaml

from benchmarks.comparison import Difference, compare, snapshot
from benchmarks.options import exit_code, positive_int
from benchmarks.processes import session
from pipelines.lineage import History
from pipelines.workspace import Workspace
from tinytimbre.config import SweepConfig, load_config
from tinytimbre.errors import TinyTimbreError

ROOT = pathlib.Path(__file__).resolve().parents[1]
FINISHED_CODES = (0, 3)
"""Models were published, or none was acceptable; both are ends of a sweep."""

SAY_EVERY_SECS = 15.0
LAST_MOMENT = 0.95
"""Kills fall before this share of the undisturbed time: behind the end there is nothing to kill."""


@dataclasses.dataclass(frozen=True)
class Sweep:
    """What is run, and where its files are."""

    config: pathlib.Path
    recordings: pathlib.Path
    instruments: tuple[str, ...]
    jobs: int
    folder: pathlib.Path

    @classmethod
    def of(cls, args: argparse.Namespace) -> Sweep:
        """What a command line with `sweep_parser`'s arguments and ``--jobs`` names."""
        return cls(
            args.config.resolve(), args.recordings.resolve(), tuple(args.instrument), args.jobs, args.work.resolve()
        )

    def command(self, workspace: Workspace) -> list[str]:
        """The command line of `tinytimbre run`."""
        instruments = ["--instrument", *self.instruments] if self.instruments else []
        return [
            sys.executable, "-m", "pipelines", "run", str(self.config), "--recordings", str(self.recordings),
            "--workspace", str(workspace.root), "--jobs", str(self.jobs), *instruments,
        ]  # fmt: skip

    def settings(self) -> SweepConfig:
        """The configuration as the command resolves it."""
        config = load_config(self.config)
        return config.model_copy(update={"instruments": self.instruments}) if self.instruments else config


@dataclasses.dataclass
class Progress:
    """What has been done so far; kept in a file, so that an interrupted benchmark continues."""

    lifetimes_secs: list[float]
    kills: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    exit_code: int | None = None

    @classmethod
    def load(cls, path: pathlib.Path, *, lifetimes_secs: list[float]) -> Progress:
        """What an earlier start of the same benchmark did.

        Raises:
            TinyTimbreError: it had other settings.
        """
        if not path.is_file():
            return cls(lifetimes_secs)
        earlier = cls(**json.loads(path.read_text()))
        if earlier.lifetimes_secs != lifetimes_secs:
            raise TinyTimbreError(
                "a benchmark is continued with the settings it was started with",
                got=f"{path}: another number of kills, seed or duration",
                remedy="name another --work folder, or delete this one",
            )
        return earlier

    def save(self, path: pathlib.Path) -> None:
        """Writes the file, whole or not at all."""
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(dataclasses.asdict(self), indent=1))
        partial.replace(path)


def lifetimes(count: int, *, expected_secs: float, overhead_secs: float, seed: int) -> list[float]:
    """How long each start lives until it is killed, in seconds.

    The moments are uniform over the undisturbed duration. A start after a kill has to get back to where the last one
    was; that overhead is added, else the kills would gather at the beginning.

    Args:
        count: of kills.
        expected_secs: duration of the undisturbed sweep.
        overhead_secs: of a start: imports, and the work lost since the last checkpoint.
        seed: of the moments.
    """
    moments = np.sort(np.random.default_rng(seed).uniform(0, LAST_MOMENT * expected_secs, count))
    gaps = np.diff(moments, prepend=0.0)
    return [round(float(gap) + (overhead_secs if index else 0.0), 2) for index, gap in enumerate(gaps)]


def durations(workspace: Workspace) -> tuple[float, float]:
    """Of an undisturbed sweep, in seconds: the whole, and what a start takes before its first stage."""
    history = History.read(workspace.require().metadata)
    done = history.executions[history.executions["state"] == "COMPLETE"]
    stages = (done["ended"] - done["started"]).groupby(done["node"]).max()
    last = history.run(str(history.latest_run()))
    # The configuration is written when a run starts.
    start = float(last["started"].min()) - workspace.config.stat().st_mtime
    return float(stages.sum()) + max(0.0, start), max(0.0, start)


def undisturbed(sweep: Sweep) -> Workspace:
    """The workspace of a sweep that nothing interrupted; a finished one is taken as it is."""
    workspace, done = Workspace(sweep.folder / "undisturbed"), sweep.folder / "undisturbed.done"
    if done.is_file():
        _say(f"undisturbed: done before, {workspace.root}")
        return reference(workspace.root, settings=sweep.settings())
    # A started one that was interrupted would no longer be undisturbed.
    shutil.rmtree(workspace.root, ignore_errors=True)
    code = _run(sweep, workspace, lifetime_secs=float("inf"), label="undisturbed")[0]
    _require_finished(code, sweep.folder / "undisturbed.log")
    done.touch()
    return workspace


def killed(sweep: Sweep, *, lifetimes_secs: list[float]) -> tuple[Workspace, Progress]:
    """The workspace of the sweep that was killed, and how."""
    workspace, path = Workspace(sweep.folder / "killed"), sweep.folder / "kills.json"
    progress = Progress.load(path, lifetimes_secs=lifetimes_secs)
    for number in range(len(progress.kills), len(lifetimes_secs)):
        if progress.exit_code is not None:
            break
        label = f"kill {number + 1} of {len(lifetimes_secs)}"
        code, ended, left = _run(sweep, workspace, lifetime_secs=lifetimes_secs[number], label=label)
        if code is not None:
            _require_finished(code, sweep.folder / "killed.log")
            progress.exit_code = code
        else:
            stage = _stage(workspace)
            kill = {"after_secs": lifetimes_secs[number], "stage": stage, "processes": ended, "left_behind": left}
            progress.kills.append(kill)
            _say(f"{label}: after {lifetimes_secs[number]:.1f} s in {stage}, {ended} processes, {left} left behind")
        progress.save(path)
    if progress.exit_code is None:
        progress.exit_code = _run(sweep, workspace, lifetime_secs=float("inf"), label="to the end")[0]
        _require_finished(progress.exit_code, sweep.folder / "killed.log")
        progress.save(path)
    return workspace, progress


def _run(sweep: Sweep, workspace: Workspace, *, lifetime_secs: float, label: str) -> tuple[int | None, int, int]:
    """Runs the sweep until it ends or its time is up.

    Returns:
        Exit code (None if it was killed), processes killed, processes that outlived the kill.
    """
    log = sweep.folder / f"{workspace.root.name}.log"
    started = time.monotonic()
    with session(sweep.command(workspace), log=log, env=environment()) as running:
        while (left := lifetime_secs - (time.monotonic() - started)) > 0:
            code = running.wait(timeout_secs=min(left, SAY_EVERY_SECS))
            if code is not None:
                return code, 0, len(running.survivors())
            if left > SAY_EVERY_SECS:
                _say(f"{label}: {time.monotonic() - started:.0f} s, {_last_line(log)}")
        return None, running.kill_group(), len(running.survivors())


def environment() -> dict[str, str]:
    """As this program's, with the repository's packages."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def _require_finished(code: int | None, log: pathlib.Path) -> None:
    if code not in FINISHED_CODES:
        raise TinyTimbreError(
            "the sweep itself must run to its end",
            got=f"exit code {code}: {_error_in(log)}",
            remedy=f"see {log}, then run the same command again",
        )


def _stage(workspace: Workspace) -> str:
    """Where the sweep was when it was killed."""
    if not workspace.metadata.is_file():
        return "start"
    executions = History.read(workspace.metadata).executions
    running = executions[executions["state"] == "RUNNING"].sort_values("id")
    return "between stages" if running.empty else str(running["node"].iloc[-1])


def _last_line(log: pathlib.Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines() if log.is_file() else []
    return lines[-1].strip()[:100] if lines else ""


def _error_in(log: pathlib.Path) -> str:
    """The last error that the command told, or else its last line."""
    _, found, message = log.read_text(errors="replace").rpartition("\nerror: ")
    return message.strip()[:600] if found else _last_line(log)


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def reference(path: pathlib.Path, *, settings: SweepConfig) -> Workspace:
    """An existing workspace in which the same sweep has run undisturbed.

    Raises:
        TinyTimbreError: it holds none, or another sweep.
    """
    workspace = Workspace(path).require()
    recorded = SweepConfig.model_validate(yaml.safe_load(workspace.config.read_text()))
    if recorded != settings:
        raise TinyTimbreError(
            "a reference must be a workspace of the same sweep",
            got=f"{workspace.config} differs from the configuration {settings.name}",
            remedy="name a workspace of this configuration and these instruments, or another --work folder",
        )
    return workspace


def table(rows: Sequence[Difference]) -> str:
    """One line per group, and what differs below it."""
    lines = [f"{'':20} {'compared':>9} {'different':>9} {'only in one':>11} {'max abs':>10} {'max rel':>10}"]
    for row in rows:
        gaps = " ".join(f"{'' if gap is None else f'{gap:.2e}':>10}" for gap in (row.max_abs, row.max_rel))
        lines.append(f"{row.group:20} {row.compared:9} {row.different:9} {row.only_in_one:11} {gaps}")
        lines += [f"    {example}" for example in row.examples]
    return "\n".join(lines)


def sweep_parser(description: str | None, *, work: str) -> argparse.ArgumentParser:
    """Which sweep, and where both runs of it go; `work` is the default."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=pathlib.Path)
    parser.add_argument("recordings", type=pathlib.Path)
    parser.add_argument("--instrument", nargs="+", default=[], help="only these (default: all that are found)")
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path(work), help="for both runs")
    return parser


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = sweep_parser(__doc__, work="workspaces/kills")
    parser.add_argument("--reference", type=pathlib.Path, help="an undisturbed workspace that exists already")
    parser.add_argument("--kills", type=positive_int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--jobs", type=positive_int, default=len(os.sched_getaffinity(0)))
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs both sweeps and prints what differs; gives the exit code."""
    args = _arguments(argv)
    return exit_code(lambda: _measure(args))


def _measure(args: argparse.Namespace) -> int:
    sweep = Sweep.of(args)
    folder, settings = sweep.folder, sweep.settings()
    folder.mkdir(parents=True, exist_ok=True)
    whole = reference(args.reference, settings=settings) if args.reference else undisturbed(sweep)
    expected_secs, start_secs = durations(whole)
    # On average a kill loses half of what lies between two checkpoints.
    overhead_secs = start_secs + settings.training.checkpoint_secs / 2
    moments = lifetimes(args.kills, expected_secs=expected_secs, overhead_secs=overhead_secs, seed=args.seed)
    _say(f"{args.kills} kills over {expected_secs:.0f} s, a start takes {start_secs:.0f} s")
    disturbed, progress = killed(sweep, lifetimes_secs=moments)
    rows = compare(snapshot(whole), snapshot(disturbed))
    return _tell(rows, progress, expected_secs=expected_secs)


def _tell(rows: Sequence[Difference], progress: Progress, *, expected_secs: float) -> int:
    asked, hit = len(progress.lifetimes_secs), len(progress.kills)
    left_behind = sum(kill["left_behind"] for kill in progress.kills)
    equal = all(row.equal for row in rows)
    print(table(rows))
    print(f"{hit} of {asked} kills hit" + ("" if hit == asked else ": the sweep had ended before the others"))
    print("equal bit for bit" if equal else "not equal: see above")
    result = {
        "equal": equal,
        "kills": hit,
        "kills_asked": asked,
        "processes_left_behind": left_behind,
        "undisturbed_secs": round(expected_secs, 1),
        "stages": [kill["stage"] for kill in progress.kills],
        "groups": {row.group: dataclasses.asdict(row) for row in rows},
    }
    print(json.dumps(result))
    return 0 if equal and hit == asked and not left_behind else 1


if __name__ == "__main__":
    sys.exit(main())
