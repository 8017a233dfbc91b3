"""Whether teaching small models by a large one paid: students beside their twins, which learnt from audio alone."""

from __future__ import annotations

from typing import Any

import pandas as pd

from tinytimbre.quality.gates import HIGHER_IS_BETTER, METRICS
from tinytimbre.report.tables import SweepTables

PAIR_COLUMNS = ("student", "twin", "teacher", "decoder", "parameters", "quantisation", "seconds", "twin_seconds")
COMPARED = ("validation_loss", *METRICS)


def twin_pairs(tables: SweepTables, *, instrument: str) -> pd.DataFrame:
    """A row per student that was trained to its end and whose twin was too.

    Columns are `PAIR_COLUMNS` and, for the validation loss and every metric (mean over test takes, exported in the
    first quantisation that both have), ``<name>``, ``twin_<name>`` and ``<name>_worse``: by how much the student is
    worse, negative where it is better.
    """
    trials = tables.trials[(tables.trials["instrument"] == instrument) & (tables.trials["status"] == "done")]
    own = trials.set_index("trial_id", drop=False)
    students = own[(own["distillation"] == "student") & own["twin_id"].isin(own.index)]
    exported = {str(name): group.set_index("quantisation") for name, group in tables.candidates.groupby("trial_id")}
    rows = [_pair(student, own.loc[student["twin_id"]], exported) for _, student in students.iterrows()]
    names = [part for name in COMPARED for part in (name, f"twin_{name}", f"{name}_worse")]
    return pd.DataFrame(rows, columns=[*PAIR_COLUMNS, *names])


def _pair(student: pd.Series, twin: pd.Series, exported: dict[str, pd.DataFrame]) -> dict[str, Any]:
    mine, theirs = (exported.get(str(trial["trial_id"]), pd.DataFrame()) for trial in (student, twin))
    common = [quantisation for quantisation in mine.index if quantisation in theirs.index]
    row: dict[str, Any] = {
        "student": student["trial_id"],
        "twin": twin["trial_id"],
        "teacher": student["teacher_id"],
        **{key: student[key] for key in ("decoder", "parameters")},
        "quantisation": common[0] if common else "",
        "seconds": student["train_seconds"],
        "twin_seconds": twin["train_seconds"],
        **_compared("validation_loss", student, twin),
    }
    for metric in METRICS if common else ():
        row |= _compared(metric, mine.loc[common[0]], theirs.loc[common[0]])
    return row


def _compared(name: str, student: pd.Series, twin: pd.Series) -> dict[str, float]:
    sign = -1.0 if name in HIGHER_IS_BETTER else 1.0
    mine, theirs = float(student[name]), float(twin[name])
    return {name: mine, f"twin_{name}": theirs, f"{name}_worse": sign * (mine - theirs)}


def distillation_words(tables: SweepTables, *, instrument: str) -> str:
    """Whether it paid, in a sentence or two; empty where distillation was off."""
    trials = tables.trials[tables.trials["instrument"] == instrument]
    teachers = trials[trials["distillation"] == "teacher"]
    if teachers.empty:
        return ""
    teacher = teachers.iloc[0]
    students = trials[trials["distillation"] == "student"]
    if students.empty:
        return f"Nothing to distil: no finalist is smaller than the best one, {teacher['trial_id']}."
    named = f"{teacher['trial_id']} ({int(teacher['parameters']):,} parameters)"
    taught = f"{_count(len(students), 'model')} distilled from {named}"
    pairs = twin_pairs(tables, instrument=instrument)
    parts = [_loss_words(pairs), _metric_words(pairs), _chosen_words(tables, instrument)] if len(pairs) else []
    failed = int((students["status"] != "done").sum())
    if failed:
        parts.append(f"{failed} failed")
    return f"{taught}: {'; '.join(part for part in parts if part)}."


def _loss_words(pairs: pd.DataFrame) -> str:
    change = 100 * (pairs["validation_loss"] / pairs["twin_validation_loss"] - 1)
    better = int((change < 0).sum())
    share = pairs["seconds"].sum() / pairs["twin_seconds"].sum() if pairs["twin_seconds"].sum() > 0 else float("nan")
    spent = f", in {share:.0%} of the training time" if pd.notna(share) else ""
    return (
        f"a lower validation loss than the same model trained on audio alone: {better} of {len(pairs)} "
        f"(mean {change.mean():+.1f} %{spent})"
    )


def _metric_words(pairs: pd.DataFrame) -> str:
    change = pairs["log_spectral_db_worse"].dropna()
    if change.empty:
        return ""
    better = int((change < 0).sum())
    return f"a smaller log spectral distance on test takes: {better} of {len(change)} (mean {change.mean():+.2f} dB)"


def _chosen_words(tables: SweepTables, instrument: str) -> str:
    verdict = tables.verdicts.get(instrument)
    if verdict is None or verdict.chosen is None:
        return ""
    teacher_id = teacher_of(tables, verdict.chosen)
    return f"the chosen model is {'a distilled' if teacher_id else 'not a distilled'} one"


def teacher_of(tables: SweepTables, candidate_id: str) -> str:
    """Trial id of the teacher that an exported model was distilled from; empty for one that learnt from audio alone."""
    trial_ids = tables.candidates.loc[tables.candidates["candidate_id"] == candidate_id, "trial_id"]
    return teachers_by_trial(tables).get(str(trial_ids.iloc[0]), "") if len(trial_ids) else ""


def teachers_by_trial(tables: SweepTables) -> dict[str, str]:
    """Trial id of every student → that of its teacher."""
    students = tables.trials[tables.trials["distillation"] == "student"]
    return {str(own): str(teacher) for own, teacher in zip(students["trial_id"], students["teacher_id"], strict=True)}


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
