"""Two finished sweeps compared bit for bit: choice, rung results, weights, quality, bundles.

    rows = compare(snapshot(Workspace("a")), snapshot(Workspace("b")))

What a sweep found is laid out as named values in groups; times and paths are left out, they differ from run to run.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from pipelines.commands.outcome import outcome
from pipelines.lineage import History
from pipelines.workspace import Workspace
from tinytimbre.report.tables import CANDIDATE_COLUMNS, METRIC_COLUMNS, SweepTables
from tinytimbre.sweep import SweepPlan, TrialStore

Value = str | bytes | np.ndarray
Snapshot = Mapping[str, Mapping[str, Value]]
"""Group → name → value."""

MAX_EXAMPLES = 3


@dataclasses.dataclass(frozen=True)
class Difference:
    """What differs in one group.

    ``max_abs`` and ``max_rel`` are the largest differences between numbers, None where no pair of numbers differs or
    can be subtracted; ``examples`` names a few of the values that differ.
    """

    group: str
    compared: int
    different: int
    only_in_one: int
    max_abs: float | None
    max_rel: float | None
    examples: tuple[str, ...]

    @property
    def equal(self) -> bool:
        """Whether every value is in both, bit for bit."""
        return not self.different and not self.only_in_one


def snapshot(workspace: Workspace) -> Snapshot:
    """Everything the last finished sweep of a workspace found.

    Raises:
        TinyTimbreError: no sweep has been finished there.
    """
    history = History.read(workspace.require().metadata)
    found, plan = outcome(history), _plan_of(history)
    store, tables = TrialStore(workspace.trials), found.tables
    published = {
        f"{instrument}/{name}": content
        for instrument, path in found.published.items()
        for name, content in files_of(pathlib.Path(path)).items()
    }
    return {
        "chosen models": {name: str(verdict.chosen) for name, verdict in tables.verdicts.items()},
        "verdicts": {name: verdict.model_dump_json() for name, verdict in tables.verdicts.items()},
        "rung results": dict(_rung_results(plan, store)),
        "weights": dict(_weights(plan, store)),
        "quality, per model": dict(_numbers(tables.candidates, ("candidate_id",), _candidate_numbers())),
        "quality, per clip": dict(_clips(tables)),
        "exported bundles": files_of(found.sweep.models_dir),
        "published files": published,
    }


def compare(first: Snapshot, second: Snapshot) -> list[Difference]:
    """One row per group, in the order of `first`, then groups that only `second` has."""
    groups = [*first, *(group for group in second if group not in first)]
    return [_compare_group(group, first.get(group, {}), second.get(group, {})) for group in groups]


def _compare_group(group: str, first: Mapping[str, Value], second: Mapping[str, Value]) -> Difference:
    common = [name for name in first if name in second]
    changed = [name for name in common if not _same(first[name], second[name])]
    alone = sorted(set(first) ^ set(second))
    gaps = [gap for name in changed if (gap := _gap(first[name], second[name])) is not None]
    examples = [f"{name}: {_told(first[name], second[name])}" for name in changed]
    examples += [f"{name}: only in one" for name in alone]
    return Difference(
        group=group,
        compared=len(common),
        different=len(changed),
        only_in_one=len(alone),
        max_abs=max((absolute for absolute, _ in gaps), default=None),
        max_rel=max((relative for _, relative in gaps), default=None),
        examples=tuple(examples[:MAX_EXAMPLES]),
    )


def _same(first: Value, second: Value) -> bool:
    if isinstance(first, np.ndarray) and isinstance(second, np.ndarray):
        alike = first.dtype == second.dtype and first.shape == second.shape
        # Bytes, not numbers: two NaN are the same here, and 0.0 is not -0.0.
        return alike and first.tobytes() == second.tobytes()
    return type(first) is type(second) and first == second


def _gap(first: Value, second: Value) -> tuple[float, float] | None:
    """Largest absolute and relative difference of two arrays; infinite where only one is finite."""
    if not isinstance(first, np.ndarray) or not isinstance(second, np.ndarray) or first.shape != second.shape:
        return None
    a, b = first.astype(float).ravel(), second.astype(float).ravel()
    apart = np.flatnonzero(~((a == b) | (np.isnan(a) & np.isnan(b))))
    if not len(apart):
        return 0.0, 0.0
    with np.errstate(invalid="ignore", divide="ignore"):
        absolute = np.nan_to_num(np.abs(a - b)[apart], nan=np.inf)
        relative = np.nan_to_num(absolute / np.maximum(np.abs(a), np.abs(b))[apart], nan=np.inf)
    return float(absolute.max()), float(relative.max())


def _told(first: Value, second: Value) -> str:
    """How two values differ, in a few words."""
    if isinstance(first, bytes) and isinstance(second, bytes):
        if len(first) != len(second):
            return f"{len(first)} and {len(second)} bytes"
        apart = np.frombuffer(first, np.uint8) != np.frombuffer(second, np.uint8)
        return f"{int(apart.sum())} of {len(first)} bytes differ"
    gap = _gap(first, second)
    if gap is not None and isinstance(first, np.ndarray) and isinstance(second, np.ndarray):
        values = f"{float(first)!r} and {float(second)!r}" if first.ndim == 0 else f"array {first.shape}"
        return f"{values}, apart by {gap[0]:.3g}"
    return f"{_short(first)} and {_short(second)}"


def _short(value: Value) -> str:
    if isinstance(value, np.ndarray):
        return f"array {value.dtype}{list(value.shape)}"
    return str(value)[:60]


def _plan_of(history: History) -> SweepPlan:
    """The plan that the newest selection descends from."""
    selection = history.latest("Selection")
    assert selection is not None  # `outcome` has refused a workspace without one
    chain = history.lineage_of(int(selection["artifact"]))
    (uri,) = chain.loc[chain["type"] == "SweepPlan", "uri"]
    return SweepPlan.load(str(uri))


def _rung_results(plan: SweepPlan, store: TrialStore) -> Iterator[tuple[str, Value]]:
    for trial in plan.trials:
        for result in store.results(trial.trial_id):
            name = f"{trial.trial_id} rung {result.rung}"
            yield f"{name} status", f"{result.status} at step {result.step} {result.reason}".strip()
            if result.validation_loss is not None:
                yield f"{name} validation loss", np.array(result.validation_loss)


def _weights(plan: SweepPlan, store: TrialStore) -> Iterator[tuple[str, Value]]:
    for trial in plan.trials:
        for rung in range(len(plan.rungs)):
            found = store.weights(trial.trial_id, rung=rung) or {}
            yield from ((f"{trial.trial_id} weights-{rung} {name}", values) for name, values in found.items())


def _candidate_numbers() -> tuple[str, ...]:
    text = ("candidate_id", "trial_id", "instrument", "quantisation", "status")
    return tuple(column for column in CANDIDATE_COLUMNS if column not in text)


def _clips(tables: SweepTables) -> Iterator[tuple[str, Value]]:
    return _numbers(tables.clips, ("candidate_id", "split", "recording_id"), METRIC_COLUMNS)


def _numbers(table: pd.DataFrame, keys: tuple[str, ...], columns: tuple[str, ...]) -> Iterator[tuple[str, Value]]:
    """Every number of a table under the names of its row and column."""
    for row in table.to_dict("records"):
        name = " ".join(str(row[key]) for key in keys)
        # An empty cell is None or NaN, depending on the other cells of its column.
        yield from ((f"{name} {column}", np.array(row[column], float)) for column in columns)


def files_of(folder: pathlib.Path) -> dict[str, Value]:
    """Path within the folder → content."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }
