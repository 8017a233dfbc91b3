"""What the page's plots draw: plain JSON values, one record per instrument."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from tinytimbre.quality.gates import HIGHER_IS_BETTER, METRICS
from tinytimbre.quality.verdict import Verdict
from tinytimbre.report.distillation import teachers_by_trial
from tinytimbre.report.tables import SweepTables, front, roles

MAX_CURVE_POINTS = 60
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
        "metrics": [_metric_data(metric, own, verdict) for metric in METRICS],
        "curves": _curves(tables, instrument=instrument),
    }


def front_for(metric: str, candidates: pd.DataFrame) -> list[str]:
    """Candidate ids of the front between size and any metric, smallest first."""
    signed = candidates.assign(**{metric: -candidates[metric]}) if metric in HIGHER_IS_BETTER else candidates
    return [str(candidate) for candidate in front(signed, quality=metric)["candidate_id"]]


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


def _metric_data(metric: str, candidates: pd.DataFrame, verdict: Verdict | None) -> dict[str, Any]:
    """The margin line and, where tested, how bad each candidate may be at the stated confidence."""
    results = [gate for gate in verdict.gates if gate.gate == metric and gate.split == "test"] if verdict else []
    margins = [gate.margin for gate in verdict.gates if gate.gate == metric] if verdict else []
    values = dict(zip(candidates["candidate_id"], candidates[metric], strict=True))
    best = plain(values.get(verdict.reference)) if verdict else None
    worse = -1 if metric in HIGHER_IS_BETTER else 1
    return {
        "name": metric,
        "worse": worse,
        "front": front_for(metric, candidates),
        "limit": best + worse * margins[0] if margins and best is not None else None,
        "bounds": {
            gate.candidate_id: plain(best + worse * gate.bound)
            for gate in results
            if gate.bound is not None and best is not None
        },
    }


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
