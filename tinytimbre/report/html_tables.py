"""The page's tables: rows in HTML, with the value to sort by beside the text to read."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

import pandas as pd

from tinytimbre.quality.verdict import Verdict
from tinytimbre.quality.wording import GATE_NAMES, size
from tinytimbre.report.data import plain
from tinytimbre.report.distillation import teachers_by_trial, twin_pairs
from tinytimbre.report.tables import SweepTables

NO_RESULT = "no result was found"
CANDIDATE_HEADERS = {
    "candidate_id": "Model", "stage": "Verdict", "total_brotli": "Size", "total_bytes": "On disk",
    "parameters": "Parameters", "decoder_mflops": "MFLOP/s", "log_spectral_db": "Log spectral dB",
    "mel_spectral_db": "Mel dB", "loudness_db": "Loudness dB", "f0_accuracy_points": "Pitch acc. %",
    "f0_cents": "Pitch cents", "mfcc_db": "MFCC dB", "visqol_mos": "ViSQOL", "tfjs_max_abs_error": "TF.js − TF",
    "teacher_id": "Distilled from", "words": "Why",
}  # fmt: skip
TRIAL_HEADERS = {
    "trial_id": "Trial", "status": "Status", "decoder": "Decoder", "input": "Input", "harmonics": "Harm.",
    "noise_bands": "Noise", "width": "Width", "depth": "Depth", "kernel_size": "Kernel", "reverb_bands": "Room",
    "parameters": "Parameters", "decoder_mflops": "MFLOP/s", "stratum": "Stratum", "rung": "Rung", "steps": "Steps",
    "validation_loss": "Val. loss", "train_seconds": "Seconds", "teacher_id": "Distilled from", "reason": "Reason",
}  # fmt: skip
GATE_HEADERS = {
    "candidate_id": "Model", "split": "Split", "gate": "Gate", "mean": "Mean", "bound": "Bound", "margin": "Margin",
    "smallest_margin": "Could show",
    "n_takes": "Takes", "status": "Result",
}  # fmt: skip
PAIR_HEADERS = {
    "student": "Distilled", "twin": "From audio alone", "teacher": "Teacher", "decoder": "Decoder",
    "parameters": "Parameters", "seconds": "Seconds", "twin_seconds": "alone", "validation_loss": "Val. loss",
    "twin_validation_loss": "alone", "quantisation": "Measured as", "log_spectral_db": "Log spectral dB",
    "twin_log_spectral_db": "alone", "mel_spectral_db": "Mel dB", "twin_mel_spectral_db": "alone",
    "loudness_db": "Loudness dB", "twin_loudness_db": "alone", "f0_accuracy_points": "Pitch acc. %",
    "twin_f0_accuracy_points": "alone", "f0_cents": "Pitch cents", "twin_f0_cents": "alone", "better": "Better",
}  # fmt: skip
BYTES = ("total_brotli", "total_bytes")
IDS = ("candidate_id", "trial_id", "teacher_id", "student", "twin", "teacher")
LONG = ("words", "reason")
TEXTS = (*IDS, *LONG, "stage", "status", "decoder", "input", "split", "gate", "quantisation", "better")
MARKS = {
    "failed": "bad", "collapsed": "bad", "chosen": "good", "confirmed": "good", "passed": "good", "distilled": "good",
}  # fmt: skip


def code(text: str) -> str:
    """An identifier, escaped, whole in the tooltip where it is cut short."""
    return f"<code title='{html.escape(text)}'>{html.escape(text)}</code>"


def number(value: Any) -> str:
    """At most four significant digits; thousands apart; a dash for none."""
    value = plain(value)
    if value is None or isinstance(value, str):
        return html.escape(value or "–")
    if isinstance(value, int) or (float(value).is_integer() and abs(value) >= 100):
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}" if abs(value) < 1e-2 else f"{value:.3g}"


def is_failed(trials: pd.DataFrame) -> pd.Series:
    """Bool per trial: failed, or without a status at all."""
    return trials["status"].isna() | (trials["status"] == "failed")


def candidates_table(tables: SweepTables, *, instrument: str) -> str:
    """All models of an instrument, the smallest first, then those that could not be exported."""
    own = tables.candidates[tables.candidates["instrument"] == instrument].sort_values("total_brotli")
    verdict, teachers = tables.verdicts.get(instrument), teachers_by_trial(tables)
    outcomes = {outcome.candidate_id: outcome for outcome in verdict.outcomes} if verdict else {}
    rows = []
    for row in own.to_dict("records"):
        outcome = outcomes.get(str(row["candidate_id"]))
        failed = plain(row["status"]) in (None, "failed")
        stage = "failed" if failed else outcome.stage if outcome else "–"
        words = outcome.reason if outcome else plain(row.get("reason")) or ""
        rows.append({**row, "stage": stage, "teacher_id": teachers.get(str(row["trial_id"]), ""), "words": words})
    return _table(
        f"Exported models ({len(rows)})", _taught(CANDIDATE_HEADERS, teachers), rows, mark="stage", opened=True
    )


def trials_table(tables: SweepTables, *, instrument: str) -> str:
    """All trials of an instrument; failed and missing ones are marked."""
    own = tables.trials[tables.trials["instrument"] == instrument]
    own = own.assign(
        reason=own["reason"].where(own["status"].notna(), NO_RESULT), status=own["status"].fillna("failed")
    )
    rows = own.sort_values(["validation_loss", "trial_id"]).to_dict("records")
    headers = _taught(TRIAL_HEADERS, teachers_by_trial(tables))
    return _table(f"Trials ({len(rows)})", headers, rows, mark="status", opened=False)


def pairs_table(tables: SweepTables, *, instrument: str) -> str:
    """Students beside their twins; "better" goes by the validation loss. Nothing where there are no pairs."""
    pairs = twin_pairs(tables, instrument=instrument)
    if pairs.empty:
        return ""
    pairs["better"] = ["distilled" if worse < 0 else "audio alone" for worse in pairs["validation_loss_worse"]]
    rows = pairs.sort_values(["parameters", "student"]).to_dict("records")
    return _table(f"Distilled or not ({len(rows)})", PAIR_HEADERS, rows, mark="better", opened=False)


def gates_table(verdict: Verdict | None) -> str:
    """Every gate of every candidate with its numbers."""
    if verdict is None or not verdict.gates:
        return ""
    rows = [{**gate.model_dump(), "gate": GATE_NAMES[gate.gate][0]} for gate in verdict.gates]
    return _table(f"Gates ({len(rows)})", GATE_HEADERS, rows, mark="status", opened=False)


def _taught(headers: dict[str, str], teachers: dict[str, str]) -> dict[str, str]:
    """Without the column of teachers where nobody was taught."""
    return {column: text for column, text in headers.items() if teachers or column != "teacher_id"}


def _table(name: str, headers: dict[str, str], rows: Sequence[dict[Any, Any]], *, mark: str, opened: bool) -> str:
    head = "".join(_heading(column, text) for column, text in headers.items())
    body = "".join(_row(row, list(headers), mark=mark) for row in rows)
    return (
        f"<details class='data'{' open' if opened else ''}><summary>{html.escape(name)}</summary>"
        "<input type='search' placeholder='Filter rows, e.g. gru uint8' aria-label='Filter rows'>"
        f"<div class='scroll'><table class='sortable'><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
        "</details>"
    )


def _heading(column: str, text: str) -> str:
    align = "" if column in TEXTS else " class='n'"
    return f"<th{align}><button type='button'>{html.escape(text)}</button></th>"


def _row(row: dict[Any, Any], columns: Sequence[str], *, mark: str) -> str:
    state = MARKS.get(str(row.get(mark, "")).split(" ")[0], "")
    cells = "".join(
        f"<td class='mark'>{html.escape(str(row[column]))}</td>" if column == mark else _cell(column, row.get(column))
        for column in columns
    )
    return f"<tr class='{state}'>{cells}</tr>"


def _cell(column: str, value: Any) -> str:
    value = plain(value)
    if column in IDS:
        return f"<td>{code(str(value)) if value else ''}</td>"
    if isinstance(value, str):
        text = html.escape(value)
        return f"<td class='long'><div>{text}</div></td>" if column in LONG and value else f"<td>{text}</td>"
    if value is None:
        return "<td class='n'>–</td>" if column not in LONG else "<td></td>"
    text = size(int(value)) if column in BYTES else number(value)
    return f"<td class='n' data-v='{value}'>{text}</td>"
