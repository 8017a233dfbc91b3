"""The decision: the smallest candidate that is shown to be as good as the best of its sweep.

    verdict = judge(candidates, clips, gates=config.gates, seed=config.seed)

0. *Sanity*: a candidate that collapses when it is played as in timbre transfer (`tinytimbre.quality.sanity`) is out.
1. The *reference* is the candidate with the lowest mean log spectral distance on the validation takes, unless another
   one dominates it: is better by more than a margin in some metric and worse by more than one in none. A model that
   bought its last tenth of a dB with loudness or pitch is no yardstick; the lowest that is not dominated is.
2. *Screening on validation*: a candidate goes on where the mean difference to the reference is within
   every margin. No bound is asked for here: nothing is concluded from it, and a strict screen would only
   cost power. Where a margin is below the seed-to-seed floor (`tinytimbre.quality.floor`) nothing can be decided
   between two trainings ("undecidable"); the reference's own quantisations have none between them. The floor is that
   of the configurations in question, the reference's and those that went on: bad models differ more from training to
   training than good ones, and nobody asks about them. The others are ordered by how safe they looked: by the largest
   share of a margin that their bounds take up on validation. One that is not smaller than a safer one is left out
   ("outdone").
3. *Confirmation on test*, from the safest and largest to the boldest and smallest, stopping at the first that
   does not pass.
   A candidate passes when *every* gate does: an intersection-union test, at level 1 - confidence without
   correction (Berger, Technometrics 24:4, 1982). The order is fixed before the test takes are looked at, so
   testing in sequence at full level keeps the chance of accepting *any* unacceptable candidate at
   1 - confidence (Maurer, Hothorn & Lehmacher, 1995; Dmitrienko et al., 2009). Testing the smallest first
   and moving up to the next after each failure would not: each attempt would be another chance to be lucky.

A gate is *passed* where the upper confidence bound of the mean paired difference over takes (see
`tinytimbre.quality.bounds`) is at most the margin, *failed* where the mean itself is beyond it, else *not
shown*; with fewer than 3 takes always "not shown". Differences are signed so that positive is worse.
Median pitch errors are clipped at 50 cents before they are compared: a take beyond that is a miss, which
the accuracy gate counts, and must not decide the mean by how far it misses. The worst-decile guard (mean of the
worst tenth of the takes' differences, at least one take), the absolute gates (the candidate's own
mean over takes), the distance to the baseline (`tinytimbre.quality.baseline`, where it was measured) and the
sanity gates are point guards without a bound. The reference must pass those that do not compare with itself.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import pandas as pd

from tinytimbre.config import GateConfig
from tinytimbre.errors import TinyTimbreError
from tinytimbre.quality import wording
from tinytimbre.quality.baseline import BASELINE
from tinytimbre.quality.floor import seed_floor
from tinytimbre.quality.single_gates import SingleGates, absolute_gates, below_floor
from tinytimbre.quality.take_values import HIGHER_IS_BETTER, METRICS, Split, TakeValues
from tinytimbre.quality.verdict import Candidate, GateResult, Outcome, SeedFloor, Stage, Verdict

__all__ = ["HIGHER_IS_BETTER", "METRICS", "Candidate", "GateResult", "Outcome", "Verdict", "judge"]

KEYS = ("candidate_id", "instrument", "split", "recording_id", "take_id")


def judge(candidates: Sequence[Candidate], clips: pd.DataFrame, *, gates: GateConfig, seed: int) -> Verdict:
    """Decides which candidate of one instrument ships.

    Args:
        candidates: all exported models of one instrument.
        clips: a row per candidate, split and recording, with the columns of `KEYS` and `METRICS`; rows of
            other instruments or candidates are ignored, those of the baseline are not. NaN in a pitch metric: the
            recording has no confident frame and is left out of that gate.
        gates: margins, confidence and number of bootstrap draws.
        seed: makes the bootstrap repeatable.

    Raises:
        TinyTimbreError: no candidates, several instruments at once, or a column is missing.
    """
    return _Judge(candidates, _own_clips(candidates, clips), gates=gates, seed=seed).verdict()


def _own_clips(candidates: Sequence[Candidate], clips: pd.DataFrame) -> pd.DataFrame:
    instruments = {candidate.instrument for candidate in candidates}
    if len(instruments) != 1:
        raise TinyTimbreError("candidates of exactly one instrument are judged at a time", got=str(sorted(instruments)))
    missing = [column for column in (*KEYS, *METRICS) if column not in clips.columns]
    if missing:
        raise TinyTimbreError("the table of clips lacks columns", got=f"missing: {', '.join(missing)}")
    known = {BASELINE, *(candidate.candidate_id for candidate in candidates)}
    return clips[clips["instrument"].isin(instruments) & clips["candidate_id"].isin(known)]


@dataclasses.dataclass
class _Found:
    """What is known so far about one candidate."""

    stage: Stage
    reason: str


class _Judge:
    """Holds what is known while one verdict is made."""

    def __init__(self, candidates: Sequence[Candidate], clips: pd.DataFrame, *, gates: GateConfig, seed: int) -> None:
        self.candidates = sorted(candidates, key=lambda c: (c.bytes_brotli, c.candidate_id))
        self.by_id = {c.candidate_id: c for c in self.candidates}
        self.bytes = {c.candidate_id: c.bytes_brotli for c in self.candidates}
        self.failures = {c.candidate_id: c.failure for c in self.candidates}
        self.gates = gates
        self.takes = TakeValues(clips)
        self.floor = SeedFloor()
        self.tests = SingleGates(self.takes, gates, seed)
        self.results: list[GateResult] = []
        self.found: dict[str, _Found] = {}

    def verdict(self) -> Verdict:
        evaluated = self.takes.evaluated()
        if not evaluated:
            return self._nothing(None, wording.nothing_evaluated(list(self.failures.values())))
        sane = [c.candidate_id for c in self.candidates if self._is_sane(c)]
        eligible = [c for c in sane if c in evaluated]
        if not eligible:
            return self._nothing(None, wording.nothing_sane())
        reference = self._reference(eligible, evaluated)
        order = self._screened(reference, [c for c in sane if c != reference], evaluated)
        own = self.tests.own(reference, "test")
        self.results += own
        broken = [result for result in own if not result.passed]
        if broken:
            self.found[reference] = _Found("failed on test", wording.excluded(broken))
            return self._nothing(reference, wording.reference_unfit(broken))
        return self._chosen(self._confirmed(order, reference), reference, order)

    def _reference(self, eligible: Sequence[str], evaluated: dict[str, float]) -> str:
        """Of equals the smaller."""
        margins = {metric: float(getattr(self.gates, metric)) for metric in METRICS}
        dominated = self.takes.dominated(eligible, margins=margins)
        return min(eligible, key=lambda c: (c in dominated, evaluated[c], self.bytes[c], c))

    def _is_sane(self, candidate: Candidate) -> bool:
        results = self.tests.sanity(candidate)
        self.results += results
        broken = [result for result in results if not result.passed]
        if broken:
            self.found[candidate.candidate_id] = _Found("collapsed", wording.excluded(broken))
        return not broken

    def _screened(self, reference: str, others: Sequence[str], evaluated: dict[str, float]) -> list[str]:
        """The candidates to test, safest first and each smaller than the one before; why the others drop out."""
        within = [c for c in others if self._is_within_margins(c, reference, evaluated=c in evaluated)]
        self.floor = self._floor_of([reference, *within])
        passed = [c for c in within if self._is_decidable(c, reference)]
        order: list[str] = []
        smallest = reference
        for candidate in sorted(passed, key=lambda one: (self._strain(one), self.bytes[one], one)):
            if self.bytes[candidate] >= self.bytes[smallest]:
                self.found[candidate] = _Found("outdone", wording.outdone(smallest))
                continue
            order.append(candidate)
            smallest = candidate
        return order

    def _strain(self, candidate: str) -> float:
        """Largest share of a margin that the candidate takes up on validation: its bound, or the mean without one."""
        paired = [
            r for r in self.results if (r.candidate_id, r.split) == (candidate, "validation") and r.gate in METRICS
        ]
        worse = [r.mean if r.bound is None else r.bound for r in paired]
        return max(math.inf if w is None else w / r.margin for w, r in zip(worse, paired, strict=True))

    def _is_within_margins(self, candidate: str, reference: str, *, evaluated: bool) -> bool:
        if not evaluated:
            self.found[candidate] = _Found("not evaluated", wording.not_evaluated(self.failures[candidate]))
            return False
        broken = [r for r in self._all_gates(candidate, reference, "validation") if r.status == "failed"]
        if broken:
            self.found[candidate] = _Found("failed on validation", wording.excluded(broken))
        return not broken

    def _floor_of(self, candidates: Sequence[str]) -> SeedFloor:
        """With all seeds of their configurations, also those that are not among them."""
        families = {self.by_id[c].family for c in candidates}
        own = [c for c in self.candidates if c.family in families]
        return seed_floor(own, self.takes.tables("validation"))

    def _is_decidable(self, candidate: str, reference: str) -> bool:
        if self.by_id[candidate].trial_id == self.by_id[reference].trial_id:
            return True
        self.results = [below_floor(r, self.floor) if r.candidate_id == candidate else r for r in self.results]
        blurred = [r for r in self.results if r.candidate_id == candidate and r.undecidable]
        if blurred:
            self.found[candidate] = _Found("undecidable", wording.excluded(blurred))
        return not blurred

    def _confirmed(self, order: list[str], reference: str) -> str:
        """Tests in the given order, stops at the first failure; the last one that passed."""
        chosen = reference
        for position, candidate in enumerate(order):
            broken = [result for result in self._all_gates(candidate, reference, "test") if not result.passed]
            if not broken:
                chosen = candidate
                self.found[candidate] = _Found("confirmed", wording.confirmed())
                continue
            failed = any(result.status == "failed" for result in broken)
            stage: Stage = "failed on test" if failed else "not shown on test"
            self.found[candidate] = _Found(stage, wording.excluded(broken))
            for later in order[position + 1 :]:
                self.found[later] = _Found("not tested", wording.not_tested(candidate))
            break
        return chosen

    def _all_gates(self, candidate: str, reference: str, split: Split) -> list[GateResult]:
        results = self.tests.all(self.by_id[candidate], self.by_id[reference], split)
        self.results += results
        return results

    def _chosen(self, chosen: str, reference: str, order: list[str]) -> Verdict:
        self.found[chosen] = _Found("chosen", wording.chosen(is_reference=chosen == reference))
        if chosen != reference:
            self.found[reference] = _Found("confirmed", wording.is_reference())
        n_takes = self.takes.n_takes("test")
        outcomes = self._outcomes()
        smaller = [o for o in outcomes if o.bytes_brotli < self.bytes[chosen] and o.candidate_id != chosen]
        return Verdict(
            instrument=self.candidates[0].instrument,
            chosen=chosen,
            reference=reference,
            shown=chosen != reference,
            summary=wording.summary(
                chosen,
                reference,
                sizes=self.bytes,
                n_takes=n_takes,
                confidence=self.gates.confidence,
                smaller=smaller,
                limits=self._limits(reference, order),
            ),
            reasons=tuple(wording.why_not(outcome) for outcome in reversed(smaller)),
            n_takes=n_takes,
            n_validation_takes=self.takes.n_takes("validation"),
            confidence=self.gates.confidence,
            test_order=(reference, *order),
            floor=self.floor,
            gates=tuple(self.results),
            outcomes=outcomes,
        )

    def _limits(self, reference: str, order: list[str]) -> list[GateResult]:
        """What the first candidate to be tested failed by, or the undecidable gates of those that were not."""
        if order:
            return [r for r in self.results if (r.candidate_id, r.split) == (order[0], "test") and not r.passed]
        return [r for r in self.results if r.undecidable and self.bytes[r.candidate_id] < self.bytes[reference]]

    def _nothing(self, reference: str | None, why: str) -> Verdict:
        for candidate in self.candidates:
            self.found.setdefault(candidate.candidate_id, _Found("not tested", why))
        nearest = self._nearest(reference)
        outcomes = self._outcomes()
        return Verdict(
            instrument=self.candidates[0].instrument,
            chosen=None,
            reference=reference,
            nearest=nearest,
            summary=wording.none_chosen(why, nearest=nearest),
            reasons=tuple(wording.why_not(outcome) for outcome in reversed(outcomes)),
            n_takes=self.takes.n_takes("test"),
            n_validation_takes=self.takes.n_takes("validation"),
            confidence=self.gates.confidence,
            floor=self.floor,
            gates=tuple(self.results),
            outcomes=outcomes,
        )

    def _nearest(self, reference: str | None) -> str | None:
        """The candidate that exceeds its worst absolute gate on test by the least; of equals the smaller."""

        def exceeded(candidate: str) -> float:
            results = [self.tests.absolute(candidate, gate, "test") for gate in absolute_gates(self.gates)]
            return max(math.inf if r.mean is None else r.mean / r.margin for r in results)

        ranked = sorted((exceeded(c.candidate_id), index) for index, c in enumerate(self.candidates))
        return self.candidates[ranked[0][1]].candidate_id if ranked[0][0] < math.inf else reference

    def _outcomes(self) -> tuple[Outcome, ...]:
        return tuple(
            Outcome(
                candidate_id=c.candidate_id,
                bytes_brotli=c.bytes_brotli,
                stage=self.found[c.candidate_id].stage,
                reason=self.found[c.candidate_id].reason,
            )
            for c in self.candidates
        )
