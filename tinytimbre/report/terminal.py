"""The outcome of a sweep as tables for the terminal; whoever runs it prints them with rich."""

from __future__ import annotations

import pandas as pd
import rich.box
import rich.markup
import rich.table

from tinytimbre.quality.verdict import Verdict
from tinytimbre.quality.wording import size
from tinytimbre.report.data import plain
from tinytimbre.report.distillation import teachers_by_trial
from tinytimbre.report.tables import SweepTables, front, roles

SHORT_ID = 8


def summary_table(tables: SweepTables) -> rich.table.Table:
    """A row per instrument: trials, the chosen model's size, cost and quality, the verdict."""
    table = _table("What ships (dB: log spectral distance on test takes)")
    table.add_column("instrument", style="bold", no_wrap=True)
    for name in ("trials", "on disk", "brotli", "MFLOP/s", "dB", "pitch %"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("model", no_wrap=True)
    table.add_column("verdict")
    for instrument in tables.instruments:
        table.add_row(*_summary_row(tables, instrument))
    return table


def front_table(tables: SweepTables, *, instrument: str) -> rich.table.Table:
    """The quality-versus-size front of one instrument and the models with a role, smallest first."""
    own = tables.candidates[tables.candidates["instrument"] == instrument]
    verdict = tables.verdicts.get(instrument)
    named = {candidate: role for role, candidate in (roles(own, verdict) if verdict else {}).items()}
    stages = {o.candidate_id: o.stage for o in verdict.outcomes} if verdict else {}
    teachers = teachers_by_trial(tables)
    title = f"{rich.markup.escape(instrument)}: best quality at each size (dB: log spectral distance on test takes)"
    table = _table(title)
    table.add_column("model", no_wrap=True)
    for name in ("brotli", "params", "MFLOP/s", "dB", "loud dB", "pitch %", "cents"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    shown = own["candidate_id"].isin([*front(own)["candidate_id"], *named])
    for row in own[shown].sort_values("total_brotli").to_dict("records"):
        candidate = str(row["candidate_id"])
        mark = {"chosen": "bold green", "best": "bold"}.get(named.get(candidate, ""), "")
        stage = "best" if named.get(candidate) == "best" else stages.get(candidate, "")
        taught = ", distilled" if str(row["trial_id"]) in teachers else ""
        table.add_row(_short(candidate), *_numbers(row), stage + taught, style=mark)
    return table


def _table(title: str) -> rich.table.Table:
    """Narrow enough for a terminal of 100 columns; ``dB`` is the log spectral distance."""
    return rich.table.Table(
        title=title, title_justify="left", box=rich.box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False
    )


def _summary_row(tables: SweepTables, instrument: str) -> list[str]:
    trials = tables.trials[tables.trials["instrument"] == instrument]
    failed = int((trials["status"].isna() | (trials["status"] == "failed")).sum())
    count = f"{len(trials)}" + (f" ({failed} failed)" if failed else "")
    verdict = tables.verdicts.get(instrument)
    shown = tables.candidates[tables.candidates["candidate_id"] == _named(verdict)]
    name = rich.markup.escape(instrument)
    if not len(shown):
        return [name, count, *["–"] * 6, verdict_words(verdict)]
    row = shown.iloc[0]
    sizes = [size(int(row[column])) if pd.notna(row[column]) else "–" for column in ("total_bytes", "total_brotli")]
    quality = [_number(row[column]) for column in ("decoder_mflops", "log_spectral_db", "f0_accuracy_points")]
    return [name, count, *sizes, *quality, _short(str(row["candidate_id"])), verdict_words(verdict)]


def verdict_words(verdict: Verdict | None) -> str:
    """The verdict in a few words, with rich's colours; the whole is ``verdict.summary``."""
    if verdict is None:
        return "[red]no verdict[/]: nothing was evaluated"
    takes = f"{verdict.n_takes} test take{'' if verdict.n_takes == 1 else 's'}"
    if verdict.chosen is None:
        return "[red]none qualifies[/]; nearest" if verdict.nearest else "[red]none qualifies[/]"
    if verdict.shown:
        return f"[green]as good[/], {takes}"
    return f"[yellow]best kept[/], {takes}"


def _short(candidate_id: str) -> str:
    """A model by the first eight digits of its trial and its quantisation, so that a row fits a terminal."""
    trial_id, _, quantisation = candidate_id.rpartition("-")
    return rich.markup.escape(f"{trial_id[:SHORT_ID]}-{quantisation}")


def _named(verdict: Verdict | None) -> str | None:
    return (verdict.chosen or verdict.nearest) if verdict else None


def _numbers(row: dict[object, object]) -> list[str]:
    # A column in which a model has no size holds floats.
    n_bytes = int(float(str(row["total_brotli"])))
    sizes = [size(n_bytes), f"{int(str(row['parameters'])):,}", _number(row["decoder_mflops"])]
    columns = ("log_spectral_db", "loudness_db", "f0_accuracy_points", "f0_cents")
    return [*sizes, *(_number(row[column]) for column in columns)]


def _number(value: object) -> str:
    number = plain(value)
    return "–" if number is None else f"{float(number):.2f}"
