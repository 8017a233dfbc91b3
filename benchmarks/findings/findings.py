"""Everything that finished sweeps teach, per instrument, ready to be written and drawn."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from benchmarks.findings.breaks import SizeStep, size_steps
from benchmarks.findings.effects import Effect, setting_effects
from benchmarks.findings.pairs import (
    Difference,
    best_of_each,
    distillation_gain,
    frame_rate_effects,
    quantisation_costs,
)
from benchmarks.findings.results import InstrumentResult, instrument_result
from benchmarks.findings.sweeps import Sweep
from tinytimbre.quality.wording import floor_words
from tinytimbre.report.tables import agreements
from tinytimbre.sweep.agreement import RankAgreement


@dataclasses.dataclass(frozen=True)
class Findings:
    """Of one instrument; empty lists where a sweep did not ask.

    Attributes:
        judged: the sweep of the verdict: the newest of the instrument's first workspace.
        searched: the one with most trials there, for the effects of settings and the ranks of early rungs.
    """

    instrument: str
    judged: Sweep
    searched: Sweep
    result: InstrumentResult
    settings: list[Effect]
    best: list[Difference]
    steps: list[SizeStep]
    quantisations: list[Difference]
    distillation: list[Difference]
    frame_rates: list[Difference]
    ranks: list[RankAgreement]

    @property
    def floor(self) -> str:
        """The seed-to-seed floor in words."""
        verdict = self.judged.verdict(self.instrument)
        return floor_words(verdict.floor) if verdict else "not measured"


def findings(sweeps: Sequence[Sweep]) -> list[Findings]:
    """One per instrument, by name."""
    instruments = sorted({instrument for sweep in sweeps for instrument in sweep.tables.instruments})
    return [_of_instrument(instrument, sweeps) for instrument in instruments]


def _of_instrument(instrument: str, sweeps: Sequence[Sweep]) -> Findings:
    own = [sweep for sweep in sweeps if instrument in sweep.tables.instruments]
    # The first workspace named is the instrument's; others are for comparison, at another frame rate for example.
    home = [sweep for sweep in own if sweep.origin == own[0].origin]
    judged, searched = home[-1], max(home, key=lambda sweep: len(sweep.trials(instrument)))
    return Findings(
        instrument=instrument,
        judged=judged,
        searched=searched,
        result=instrument_result(judged, instrument=instrument),
        settings=setting_effects(searched, instrument=instrument),
        best=best_of_each(judged, instrument=instrument),
        steps=size_steps(judged, instrument=instrument),
        quantisations=quantisation_costs(judged, instrument=instrument),
        distillation=distillation_gain(judged, instrument=instrument),
        frame_rates=frame_rate_effects(own, instrument=instrument),
        ranks=[one for one in agreements(searched.tables) if one.instrument == instrument],
    )
