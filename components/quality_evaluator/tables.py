"""From plan, trial store and evaluations to the tables of a sweep."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from components.quality_evaluator.evaluation import Evaluation
from components.quality_evaluator.validations import invalid
from components.web_models import FailedModel, WebModel
from tinytimbre.quality.baseline import BASELINE
from tinytimbre.quality.verdict import SANITY
from tinytimbre.report.tables import (
    CANDIDATE_COLUMNS,
    CLIP_COLUMNS,
    CURVE_COLUMNS,
    DIAGNOSTIC_CLIP_COLUMNS,
    METRIC_COLUMNS,
    TRIAL_COLUMNS,
    TRIAL_DETAIL_COLUMNS,
    VALIDATION_COLUMNS,
    SweepTables,
    metric_means,
)
from tinytimbre.sweep import RungResult, SweepPlan, Trial, TrialStore
from tinytimbre.validation.jobs import Validation


def sweep_tables(
    plan: SweepPlan,
    *,
    store: TrialStore,
    models: Sequence[WebModel],
    failures: Sequence[FailedModel],
    evaluations: Mapping[str, Evaluation],
    baselines: Mapping[str, Evaluation],
    validated: Mapping[str, Validation],
) -> SweepTables:
    """Tables without verdicts and sounds; `evaluations` and `validated` by candidate id, `baselines` by instrument."""
    rows = [*_clip_rows(models, evaluations), *_baseline_rows(baselines)]
    clips = _table(rows, (*CLIP_COLUMNS, *DIAGNOSTIC_CLIP_COLUMNS))
    results, curves = store.all_results(), store.curves(trial.trial_id for trial in plan.trials)
    return SweepTables(
        trials=_table(
            (_trial_row(trial, plan=plan, results=results.get(trial.trial_id, [])) for trial in plan.trials),
            (*TRIAL_COLUMNS, *TRIAL_DETAIL_COLUMNS),
        ),
        candidates=_candidates(
            plan, models=models, failures=failures, evaluations=evaluations, validated=validated, clips=clips
        ),
        clips=clips,
        curves=_table(_curve_rows(plan, curves), CURVE_COLUMNS),
        verdicts={},
        audio=[],
    )


def _table(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=list(columns))


def _trial_row(trial: Trial, *, plan: SweepPlan, results: Sequence[RungResult]) -> dict[str, Any]:
    results = [result for result in results if result.rung < len(plan.rungs)]
    last = results[-1] if results else None
    spec = trial.decoder.model_dump()
    return {
        **{key: getattr(trial, key) for key in ("trial_id", "instrument", "stratum", "parameters", "decoder_mflops")},
        **{key: getattr(trial, key) for key in TRIAL_DETAIL_COLUMNS},
        **{key: value for key, value in spec.items() if key != "kind"},
        "decoder": trial.decoder.kind,
        "reverb_bands": trial.decoder.reverb_bands,
        "status": _status(last, n_rungs=len(plan.rungs)),
        "reason": last.reason if last else "not trained",
        "rung": last.rung if last else -1,
        "steps": last.step if last else 0,
        "validation_loss": last.validation_loss if last else None,
        "train_seconds": sum(result.train_seconds for result in results),
        **_distillation(trial, plan),
    }


def _distillation(trial: Trial, plan: SweepPlan) -> dict[str, str]:
    if trial.distillation:
        return {"distillation": "student", **trial.distillation.model_dump(include={"teacher_id", "twin_id"})}
    role = "teacher" if trial.trial_id in plan.teachers.values() else ""
    return {"distillation": role, "teacher_id": "", "twin_id": ""}


def _status(last: RungResult | None, *, n_rungs: int) -> str:
    if last is None or last.status == "failed":
        return "failed"
    return "done" if last.rung == n_rungs - 1 else "stopped"


def _clip_rows(models: Sequence[WebModel], evaluations: Mapping[str, Evaluation]) -> Iterable[dict[str, Any]]:
    for model in models:
        for clip in evaluations[model.candidate_id].clips:
            yield {"candidate_id": model.candidate_id, "instrument": model.instrument, **clip}


def _baseline_rows(baselines: Mapping[str, Evaluation]) -> Iterable[dict[str, Any]]:
    for instrument, evaluation in baselines.items():
        for clip in evaluation.clips:
            yield {"candidate_id": BASELINE, "instrument": instrument, **clip}


def _candidates(
    plan: SweepPlan,
    *,
    models: Sequence[WebModel],
    failures: Sequence[FailedModel],
    evaluations: Mapping[str, Evaluation],
    validated: Mapping[str, Validation],
    clips: pd.DataFrame,
) -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    failed = invalid(validated)
    for model in models:
        trial, evaluation = plan.trial(model.trial_id), evaluations[model.candidate_id]
        reason = evaluation.reason or failed.get(model.candidate_id, "")
        rows.append(
            {
                **model.model_dump(include={"candidate_id", "trial_id", "instrument", "quantisation"}),
                **model.size.model_dump(),
                "parameters": trial.parameters,
                "decoder_mflops": trial.decoder_mflops,
                "tfjs_max_abs_error": evaluation.tfjs_max_abs_error,
                "status": "failed" if reason else "evaluated",
                "reason": reason,
                "family": trial.family,
                **_validation(validated.get(model.candidate_id)),
                **{name: evaluation.sanity.get(name) for name in SANITY},
            }
        )
    for failure in failures:
        trial = plan.trial(failure.trial_id)
        known = {"parameters": trial.parameters, "decoder_mflops": trial.decoder_mflops, "family": trial.family}
        rows.append({**failure.model_dump(), **known, "status": "failed"})
    columns = [column for column in CANDIDATE_COLUMNS if column not in METRIC_COLUMNS]
    all_columns = (*columns, "reason", "family", *VALIDATION_COLUMNS, *SANITY)
    return _table(rows, all_columns).join(metric_means(clips), on="candidate_id")


def _validation(found: Validation | None) -> dict[str, Any]:
    if found is None:
        return dict.fromkeys(VALIDATION_COLUMNS)
    figures = {name: getattr(found, name) for name in VALIDATION_COLUMNS[1:]}
    return {"validation": found.model_dump_json(), **figures}


def _curve_rows(plan: SweepPlan, curves: Mapping[str, Sequence[Mapping[str, float]]]) -> Iterable[dict[str, Any]]:
    for trial in plan.trials:
        for row in curves.get(trial.trial_id, ()):
            yield {"trial_id": trial.trial_id, "validation_loss": None, **row}
