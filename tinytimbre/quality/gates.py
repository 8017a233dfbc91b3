"""The decision: the smallest candidate that is shown to be as good as the best of its sweep.

    verdict = judge(candidates, clips, gates=config.gates, seed=config.seed)

1. The *reference* is the candidate with the lowest mean log spectral distance on the validation takes.
2. *Screening on validation*: a candidate goes on where the mean difference to the reference is within
   every margin. No bound is asked for here: nothing is concluded from it, and a strict screen would only
   cost power. They are ordered by how safe they looked: by the largest share of a margin that their bounds
   take up on validation. One that is not smaller than a safer one is left out ("outdone").
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
worst tenth of the takes' differences, at least one take) and the absolute gates (the candidate's own
mean over takes) are point guards without a bound. The reference must pass the absolute gates only.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd

from tinytimbre.config import GateConfig
from tinytimbre.errors import TinyTimbreError
from tinytimbre.quality import bounds, wording
from tinytimbre.quality.verdict import Candidate, GateResult, GateStatus, Outcome, Stage, Verdict

__all__ = ["METRICS", "Candidate", "GateResult", "Outcome", "Verdict", "judge"]

METRICS = ("log_spectral_db", "mel_spectral_db", "loudness_db", "f0_accuracy_points", "f0_cents")
HIGHER_IS_BETTER = ("f0_accuracy_points",)
MAX_CENTS = 50.0
WORST_SHARE = 0.1
KEYS = ("candidate_id", "instrument", "split", "recording_id", "take_id")
Split = Literal["validation", "test"]


def judge(candidates: Sequence[Candidate], clips: pd.DataFrame, *, gates: GateConfig, seed: int) -> Verdict:
    """Decides which candidate of one instrument ships.

    Args:
        candidates: all exported models of one instrument.
        clips: a row per candidate, split and recording, with the columns of `KEYS` and `METRICS`; rows of
            other instruments or candidates are ignored. NaN in a pitch metric: the recording has no
            confident frame and is left out of that gate.
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
    known = {candidate.candidate_id for candidate in candidates}
    return clips[clips["instrument"].isin(instruments) & clips["candidate_id"].isin(known)]


@dataclasses.dataclass
class _Found:
    """What is known so far about one candidate."""

    stage: Stage
    reason: str


class _Judge:
    """Holds the tables of take values while one verdict is made."""

    def __init__(self, candidates: Sequence[Candidate], clips: pd.DataFrame, *, gates: GateConfig, seed: int) -> None:
        self.candidates = sorted(candidates, key=lambda c: (c.bytes_brotli, c.candidate_id))
        self.bytes = {c.candidate_id: c.bytes_brotli for c in self.candidates}
        self.failures = {c.candidate_id: c.failure for c in self.candidates}
        self.gates = gates
        self.seed = seed
        self.takes = {split: _take_means(clips[clips["split"] == split]) for split in ("validation", "test")}
        self.results: list[GateResult] = []
        self.found: dict[str, _Found] = {}

    def verdict(self) -> Verdict:
        reference = self._reference()
        if reference is None:
            return self._nothing(None, wording.nothing_evaluated([c.failure for c in self.candidates]))
        order = self._screened(reference)
        absolute = [self._absolute(reference, gate, "test") for gate in _absolute_gates(self.gates)]
        self.results += absolute
        broken = [result for result in absolute if not result.passed]
        if broken:
            self.found[reference] = _Found("failed on test", wording.excluded(broken))
            return self._nothing(reference, wording.reference_unfit(broken))
        chosen = self._confirmed(order, reference)
        return self._chosen(chosen, reference, order)

    def _reference(self) -> str | None:
        """Best mean log spectral distance on validation; of equals the smaller. None: nothing was evaluated."""
        means = self._mean_log_spectral()
        return min(means, key=lambda c: (means[c], self.bytes[c], c)) if means else None

    def _mean_log_spectral(self) -> dict[str, float]:
        """Over the validation takes, of the candidates that have them all."""
        wide = self.takes["validation"]["log_spectral_db"].dropna()
        return {str(candidate): float(mean) for candidate, mean in wide.mean(axis=1).items() if wide.shape[1]}

    def _screened(self, reference: str) -> list[str]:
        """The candidates to test, safest first and each smaller than the one before; why the others drop out."""
        evaluated = self._mean_log_spectral()
        others = [c.candidate_id for c in self.candidates if c.candidate_id != reference]
        passed = [c for c in others if self._screen_passed(c, reference, evaluated=c in evaluated)]
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

    def _screen_passed(self, candidate: str, reference: str, *, evaluated: bool) -> bool:
        if not evaluated:
            self.found[candidate] = _Found("not evaluated", wording.not_evaluated(self.failures[candidate]))
            return False
        results = self._all_gates(candidate, reference, "validation")
        broken = [result for result in results if result.status == "failed"]
        if broken:
            self.found[candidate] = _Found("failed on validation", wording.excluded(broken))
        return not broken

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
        results = [self._paired(candidate, reference, metric, split) for metric in METRICS]
        results.append(self._worst_decile(candidate, reference, split))
        results += [self._absolute(candidate, gate, split) for gate in _absolute_gates(self.gates)]
        self.results += results
        return results

    def _paired(self, candidate: str, reference: str, metric: str, split: Split) -> GateResult:
        margin = float(getattr(self.gates, metric))
        values, lost = self._differences(candidate, reference, metric, split)
        if lost:
            return _result(candidate, split, metric, margin, values, "failed", wording.lost(lost))
        if len(values) < bounds.MIN_TAKES:
            status: GateStatus = "failed" if split == "validation" and _mean_beyond(values, margin) else "not shown"
            return _result(candidate, split, metric, margin, values, status, wording.too_few(len(values)))
        bound = bounds.upper_bound(
            values, confidence=self.gates.confidence, draws=self.gates.bootstrap_draws, seed=self.seed
        )
        status = "passed" if bound <= margin else "failed" if _mean_beyond(values, margin) else "not shown"
        needed = bounds.takes_needed(values, margin=margin, confidence=self.gates.confidence)
        result = _result(candidate, split, metric, margin, values, status, "", bound=bound)
        return result.model_copy(
            update={
                "reason": wording.paired(result, confidence=self.gates.confidence, needed=needed),
                "takes_needed": needed if status == "not shown" else None,
            }
        )

    def _worst_decile(self, candidate: str, reference: str, split: Split) -> GateResult:
        gate, margin = "worst_decile_log_spectral_db", self.gates.worst_decile_log_spectral_db
        values, lost = self._differences(candidate, reference, "log_spectral_db", split)
        if lost or not len(values):
            return _result(candidate, split, gate, margin, values, "failed", wording.lost(lost))
        worst = np.sort(values)[-max(1, math.ceil(WORST_SHARE * len(values))) :]
        return _guard(candidate, split, gate, margin, worst, n_takes=len(values))

    def _absolute(self, candidate: str, gate: str, split: Split) -> GateResult:
        margin = float(getattr(self.gates, gate))
        values = self._values(candidate, gate.removeprefix("absolute_"), split)
        if not len(values) or np.isnan(values).any():
            known, lost = values[~np.isnan(values)], max(1, int(np.isnan(values).sum()))
            return _result(candidate, split, gate, margin, known, "failed", wording.lost(lost))
        return _guard(candidate, split, gate, margin, values, n_takes=len(values))

    def _values(self, candidate: str, metric: str, split: Split) -> np.ndarray:
        """Float [n_takes], in one order for all candidates; NaN where the candidate has no value."""
        wide = self.takes[split][metric]
        return wide.loc[candidate].to_numpy(float) if candidate in wide.index else np.full(wide.shape[1], np.nan)

    def _differences(self, candidate: str, reference: str, metric: str, split: Split) -> tuple[np.ndarray, int]:
        """Float [n]: how much worse the candidate is on each take; and the takes only the reference has."""
        sign = -1.0 if metric in HIGHER_IS_BETTER else 1.0
        ours = self._values(reference, metric, split)
        differences = sign * (self._values(candidate, metric, split) - ours)
        lost = np.isnan(differences) & ~np.isnan(ours)
        return differences[~np.isnan(differences)], int(lost.sum())

    def _chosen(self, chosen: str, reference: str, order: list[str]) -> Verdict:
        self.found[chosen] = _Found("chosen", wording.chosen(is_reference=chosen == reference))
        if chosen != reference:
            self.found[reference] = _Found("confirmed", wording.is_reference())
        n_takes = self._n_takes("test")
        outcomes = self._outcomes()
        smaller = [o for o in outcomes if o.bytes_brotli < self.bytes[chosen] and o.candidate_id != chosen]
        return Verdict(
            instrument=self.candidates[0].instrument,
            chosen=chosen,
            reference=reference,
            shown=chosen != reference,
            summary=wording.summary(
                chosen, reference, sizes=self.bytes, n_takes=n_takes, confidence=self.gates.confidence, smaller=smaller
            ),
            reasons=tuple(wording.why_not(outcome) for outcome in reversed(smaller)),
            n_takes=n_takes,
            n_validation_takes=self._n_takes("validation"),
            confidence=self.gates.confidence,
            test_order=(reference, *order),
            gates=tuple(self.results),
            outcomes=outcomes,
        )

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
            n_takes=self._n_takes("test"),
            n_validation_takes=self._n_takes("validation"),
            confidence=self.gates.confidence,
            gates=tuple(self.results),
            outcomes=outcomes,
        )

    def _nearest(self, reference: str | None) -> str | None:
        """The candidate that exceeds its worst absolute gate on test by the least; of equals the smaller."""

        def exceeded(candidate: str) -> float:
            results = [self._absolute(candidate, gate, "test") for gate in _absolute_gates(self.gates)]
            return max(math.inf if r.mean is None else r.mean / r.margin for r in results)

        ranked = sorted((exceeded(c.candidate_id), index) for index, c in enumerate(self.candidates))
        return self.candidates[ranked[0][1]].candidate_id if ranked[0][0] < math.inf else reference

    def _n_takes(self, split: Split) -> int:
        return self.takes[split]["log_spectral_db"].shape[1]

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


def _take_means(clips: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Per metric the mean over the recordings of a take: a row per candidate, a column per take."""
    values = clips.assign(f0_cents=clips["f0_cents"].clip(upper=MAX_CENTS))
    values[list(METRICS)] = values[list(METRICS)].astype(float).replace([np.inf, -np.inf], np.nan)
    means = values.groupby(["candidate_id", "take_id"], observed=True)[list(METRICS)].mean()
    return {metric: means[metric].unstack("take_id") for metric in METRICS}


def _absolute_gates(gates: GateConfig) -> list[str]:
    return [name for name in type(gates).model_fields if name.startswith("absolute_")]


def _mean_beyond(values: np.ndarray, margin: float) -> bool:
    return len(values) > 0 and float(np.mean(values)) > margin


def _result(
    candidate: str,
    split: Split,
    gate: str,
    margin: float,
    values: np.ndarray,
    status: GateStatus,
    reason: str,
    *,
    bound: float | None = None,
) -> GateResult:
    return GateResult(
        candidate_id=candidate,
        split=split,
        gate=gate,
        mean=float(np.mean(values)) if len(values) else None,
        bound=bound,
        margin=margin,
        n_takes=len(values),
        status=status,
        reason=reason,
    )


def _guard(candidate: str, split: Split, gate: str, margin: float, values: np.ndarray, *, n_takes: int) -> GateResult:
    """A point guard: passed where the mean of ``values`` is at most the margin."""
    result = _result(candidate, split, gate, margin, values, "passed", "")
    status: GateStatus = "failed" if _mean_beyond(values, margin) else "passed"
    return result.model_copy(update={"status": status, "n_takes": n_takes, "reason": wording.guard(result)})
