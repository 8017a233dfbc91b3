"""What the page's plots draw: plain JSON values, one record per instrument."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from tinytimbre.quality.bounds import MIN_TAKES, upper_bound
from tinytimbre.quality.gates import HIGHER_IS_BETTER, METRICS
from tinytimbre.quality.take_values import TakeValues
from tinytimbre.quality.verdict import Verdict
from tinytimbre.report.distillation import teachers_by_trial
from tinytimbre.report.knee import knee
from tinytimbre.report.tables import SweepTables, front, roles

MAX_CURVE_POINTS = 60
INTERVAL_DRAWS = 2000
POINT_COLUMNS = (
    "candidate_id", "trial_id", "quantisation", "total_brotli", "total_bytes", "parameters", "decoder_mflops", *METRICS,
)  # fmt: skip


def plot_data(tables: SweepTables, *, instrument: str) -> dict[str, Any]:
    """Points, front, roles, margins, bounds and learning curves of one instrument; every number finite or None."""
    own = tables.candidates[tables.candidates["instrument"] == instrument]
    verdict = tables.verdicts.get(instrument)
    return {
        "instrument": instrument,
        "points": _points(own, tables=tables, verdict=verdict),
        "roles": {} if verdict is None else roles(own, verdict),
        "metrics": [_metric_data(metric, own, verdict, clips=tables.clips) for metric in METRICS],
        "curves": _curves(tables, instrument=instrument),
    }


def front_for(metric: str, candidates: pd.DataFrame) -> list[str]:
    """Candidate ids of the front between size and any metric, smallest first."""
    signed = candidates.assign(**{metric: -candidates[metric]}) if metric in HIGHER_IS_BETTER else candidates
    return [str(candidate) for candidate in front(signed, quality=metric)["candidate_id"]]


def knee_for(metric: str, candidates: pd.DataFrame) -> str | None:
    """The candidate at the knee of the front of one instrument's candidates, see `tinytimbre.report.knee`."""
    columns = ["total_brotli", metric]
    points = candidates.set_index("candidate_id").loc[front_for(metric, candidates), columns].astype(float)
    worse = -1 if metric in HIGHER_IS_BETTER else 1
    index = knee(points["total_brotli"].to_list(), (worse * points[metric]).to_list())
    return None if index is None else str(points.index[index])


def intervals_for(
    metric: str, clips: pd.DataFrame, *, verdict: Verdict, shown: Iterable[str]
) -> dict[str, list[float]]:
    """How much worse than the best model a candidate is on test: lower and upper end by candidate id.

    Both ends are one-sided bounds at the verdict's confidence (together 90 % for 95 %), so the upper end of a tested
    candidate lies within the margin exactly where its gate passes, but for the bootstrap's draws. Not for the best
    itself, and not with fewer than 3 takes.
    """
    takes = TakeValues(clips[clips["instrument"] == verdict.instrument])
    found = {}
    for candidate in shown:
        values, lost = takes.differences(candidate, verdict.reference or "", metric, "test")
        if candidate != verdict.reference and not lost and len(values) >= MIN_TAKES:
            ends = (
                upper_bound(sign * values, confidence=verdict.confidence, draws=INTERVAL_DRAWS, seed=0)
                for sign in (-1.0, 1.0)
            )
            found[candidate] = [sign * end for sign, end in zip((-1.0, 1.0), ends, strict=True)]
    return found


def plain(value: Any) -> Any:
    """A cell of a table as JSON has it: NaN becomes None, numbers keep five digits."""
    if value is None or (isinstance(value, float | np.floating) and not math.isfinite(value)) or value is pd.NA:
        return None
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return float(f"{float(value):.5g}")
    return str(value)


def _points(candidates: pd.DataFrame, *, tables: SweepTables, verdict: Verdict | None) -> list[dict[str, Any]]:
    decoders = dict(zip(tables.trials["trial_id"], tables.trials["decoder"], strict=True))
    teachers = teachers_by_trial(tables)
    outcomes = {outcome.candidate_id: outcome for outcome in verdict.outcomes} if verdict else {}
    points = []
    for row in candidates[list(POINT_COLUMNS)].to_dict("records"):
        outcome = outcomes.get(str(row["candidate_id"]))
        point = {str(key): plain(value) for key, value in row.items()}
        point["decoder"] = plain(decoders.get(row["trial_id"])) or ""
        point["teacher"] = teachers.get(str(row["trial_id"]), "")
        point["stage"] = outcome.stage if outcome else ""
        points.append(point)
    return points


def _metric_data(
    metric: str, candidates: pd.DataFrame, verdict: Verdict | None, *, clips: pd.DataFrame
) -> dict[str, Any]:
    """The front with its knee, the margin line and the interval of each point of the front and each tested one."""
    front_ids = front_for(metric, candidates)
    margins = [gate.margin for gate in verdict.gates if gate.gate == metric] if verdict else []
    values = dict(zip(candidates["candidate_id"], candidates[metric], strict=True))
    best = plain(values.get(verdict.reference)) if verdict else None
    worse = -1 if metric in HIGHER_IS_BETTER else 1
    return {
        "name": metric,
        "worse": worse,
        "front": front_ids,
        "knee": knee_for(metric, candidates),
        "limit": best + worse * margins[0] if margins and best is not None else None,
        "intervals": _placed(metric, clips, verdict, front_ids, best=best) if verdict and best is not None else {},
    }


def _placed(
    metric: str, clips: pd.DataFrame, verdict: Verdict, front_ids: Iterable[str], *, best: float
) -> dict[str, list[float]]:
    """Intervals on the plot's axis: the best model's value plus the difference to it."""
    worse = -1 if metric in HIGHER_IS_BETTER else 1
    shown = dict.fromkeys([*front_ids, *verdict.test_order])
    intervals = intervals_for(metric, clips, verdict=verdict, shown=shown)
    return {candidate: [plain(best + worse * end) for end in ends] for candidate, ends in intervals.items()}


def _curves(tables: SweepTables, *, instrument: str) -> list[dict[str, Any]]:
    trials = tables.trials[tables.trials["instrument"] == instrument]
    decoders = dict(zip(trials["trial_id"], trials["decoder"], strict=True))
    teachers = teachers_by_trial(tables)
    own = tables.curves[tables.curves["trial_id"].isin(trials["trial_id"])].sort_values("step")
    return [
        {
            "trial_id": str(trial_id),
            "decoder": plain(decoders.get(trial_id)) or "",
            "teacher": teachers.get(str(trial_id), ""),
            **{name: _thinned(curve, column) for name, column in _CURVE_LINES},
        }
        for trial_id, curve in own.groupby("trial_id", sort=True, observed=True)
    ]


_CURVE_LINES = (("train", "train_loss"), ("validation", "validation_loss"))


def _thinned(curve: pd.DataFrame, column: str) -> list[list[float]]:
    """At most `MAX_CURVE_POINTS` pairs of step and finite loss, the last one kept."""
    known = curve[["step", column]].astype(float).replace([np.inf, -np.inf], np.nan).dropna().to_numpy()
    if not len(known):
        return []
    kept = np.unique(np.linspace(0, len(known) - 1, min(len(known), MAX_CURVE_POINTS)).round().astype(int))
    return [[plain(step), plain(loss)] for step, loss in known[kept]]
