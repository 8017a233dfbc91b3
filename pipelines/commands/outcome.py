"""What the last finished run of a workspace led to."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from typing import TYPE_CHECKING, Any

import rich.console

from components.model_pusher.publishing import FinishedSweep
from components.names import REPORT
from pipelines.lineage import History
from tinytimbre.audio.recording import RecordingSet
from tinytimbre.errors import TinyTimbreError
from tinytimbre.report.distillation import distillation_words
from tinytimbre.report.tables import SweepTables, agreements, why_no_verdict
from tinytimbre.report.terminal import front_table, summary_table
from tinytimbre.storage import is_address

if TYPE_CHECKING:
    from collections.abc import Mapping

SHOWN_REJECTS = 10


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The finished sweep, its report and where its models were published (instrument → directory)."""

    sweep: FinishedSweep
    report: pathlib.Path
    published: Mapping[str, str]

    @property
    def tables(self) -> SweepTables:
        """Of the sweep, with verdicts."""
        return self.sweep.tables

    def show(self, console: rich.console.Console) -> None:
        """Tables, verdicts in words, files that were left out, published directories."""
        for instrument in self.tables.instruments:
            console.print(front_table(self.tables, instrument=instrument))
        console.print(summary_table(self.tables))
        for instrument in self.tables.instruments:
            verdict = self.tables.verdicts.get(instrument)
            words = verdict.summary if verdict else why_no_verdict(self.tables, instrument=instrument)
            console.print(f"{instrument}: {words}", markup=False, highlight=False, soft_wrap=True)
            if words := distillation_words(self.tables, instrument=instrument):
                console.print(f"{instrument}: {words}", markup=False, highlight=False, soft_wrap=True)
        for line in [*self._ranks(), *self._left_out(), *self._published()]:
            console.print(line, markup=False, highlight=False, soft_wrap=True)

    def next_step(self) -> str:
        """One line."""
        if self.published:
            model = next(iter(self.published.values()))
            if is_address(model):
                return f"open the report and listen; {model} can be played once it is copied to a folder"
            return f"open the report and listen; or play it yourself: tinytimbre render {model} humming.wav out.wav"
        return (
            "nothing was good enough: see the report for what came nearest, then give it more training "
            "(budget.rung_steps), more recordings, or wider gates, and run again"
        )

    def _ranks(self) -> list[str]:
        return [f"{found.instrument}: {found.words()}" for found in agreements(self.tables)]

    def _left_out(self) -> list[str]:
        rejected = self.sweep.recordings.rejected()
        lines = [
            f"left out: {recording.path} ({', '.join(found.kind for found in recording.problems if found.fatal)})"
            for recording in rejected[:SHOWN_REJECTS]
        ]
        more = len(rejected) - len(lines)
        lines += [f"left out: {more} more, see recordings.json"] if more else []
        for instrument, problems in self.sweep.recordings.instrument_problems.items():
            lines.append(f"left out: all of {instrument} ({problems[0].kind}): {problems[0].message}")
        return lines

    def _published(self) -> list[str]:
        return [f"published: {instrument} → {path}" for instrument, path in self.published.items()]


def outcome(history: History) -> Outcome:
    """Of the newest finished selection.

    Raises:
        TinyTimbreError: no run has got that far, or its files were deleted.
    """
    selection = _artifact(history, "Selection")
    chain = history.lineage_of(int(selection["artifact"]))
    places = {str(kind): pathlib.Path(uri) for kind, uri in zip(chain["type"], chain["uri"], strict=True)}
    pushed = history.latest("PushedModel")
    later = pushed is not None and pushed["execution"] > selection["execution"]
    published = json.loads(pushed["properties"].get("published", "{}")) if pushed and later else {}
    sweep = FinishedSweep(
        tables=SweepTables.load(places["Selection"]),
        models_dir=places["WebModels"],
        recordings=RecordingSet.load(places["Recordings"]),
    )
    return Outcome(sweep=sweep, report=places["Selection"] / REPORT, published=published)


def _artifact(history: History, kind: str) -> dict[str, Any]:
    found = history.latest(kind)
    if found is None:
        raise TinyTimbreError(
            "a sweep must have been finished in the workspace",
            got=f"MLMD knows no {kind}",
            remedy="run `tinytimbre run` to its end; `tinytimbre status` shows how far it got",
        )
    return found
