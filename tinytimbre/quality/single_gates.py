"""Every gate on its own: one candidate, one split, one answer; `tinytimbre.quality.gates` makes a verdict of them."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from tinytimbre.config import GateConfig
from tinytimbre.quality import bounds, wording
from tinytimbre.quality.baseline import BASELINE
from tinytimbre.quality.take_values import METRICS, Split, TakeValues
from tinytimbre.quality.verdict import Candidate, GateResult, GateStatus, SeedFloor

WORST_SHARE = 0.1


@dataclasses.dataclass(frozen=True)
class SingleGates:
    """The gates of one instrument; ``seed`` makes the bootstrap repeatable."""

    takes: TakeValues
    gates: GateConfig
    seed: int

    def all(self, candidate: Candidate, reference: Candidate, split: Split) -> list[GateResult]:
        """Paired gates, worst-decile guard and absolute gates."""
        results = [self.paired(candidate, reference, metric, split) for metric in METRICS]
        results.append(self.worst_decile(candidate.candidate_id, reference.candidate_id, split))
        return results + self.own(candidate.candidate_id, split)

    def own(self, candidate: str, split: Split) -> list[GateResult]:
        """What the candidate must be whatever the others are: absolute gates, and better than the baseline."""
        results = [self.absolute(candidate, gate, split) for gate in absolute_gates(self.gates)]
        return results + ([self.baseline(candidate, split)] if self.takes.has_baseline(split) else [])

    def sanity(self, candidate: Candidate) -> list[GateResult]:
        """Of what was measured on the probes."""
        return [
            _guard(candidate.candidate_id, "validation", gate, float(getattr(self.gates, gate)), np.array([value]))
            for name, value in candidate.sanity.items()
            if (gate := f"sanity_{name}") in type(self.gates).model_fields
        ]

    def paired(self, candidate: Candidate, reference: Candidate, metric: str, split: Split) -> GateResult:
        """The difference to the reference, by its confidence bound."""
        margin, name = float(getattr(self.gates, metric)), candidate.candidate_id
        values, lost = self.takes.differences(name, reference.candidate_id, metric, split)
        if lost:
            return _result(name, split, metric, margin, values, "failed", wording.lost(lost))
        if len(values) < bounds.MIN_TAKES:
            status: GateStatus = "failed" if split == "validation" and _mean_beyond(values, margin) else "not shown"
            return _result(name, split, metric, margin, values, status, wording.too_few(len(values)))
        return self._bounded(_result(name, split, metric, margin, values, "not shown", ""), values)

    def _bounded(self, result: GateResult, values: np.ndarray) -> GateResult:
        """The result with bound, status, power and words."""
        confidence, margin = self.gates.confidence, result.margin
        failed = _mean_beyond(values, margin)
        values = bounds.without_luck(values, margin=margin)
        bound = bounds.upper_bound(values, confidence=confidence, draws=self.gates.bootstrap_draws, seed=self.seed)
        status = "passed" if bound <= margin else "failed" if failed else "not shown"
        needed = None
        if status == "not shown":
            needed = bounds.takes_needed(values, margin=margin, confidence=confidence, bound=bound)
        found = result.model_copy(
            update={
                "bound": bound,
                "status": status,
                "takes_needed": needed,
                "smallest_margin": bounds.smallest_margin(values, confidence=confidence),
            }
        )
        return found.model_copy(update={"reason": wording.paired(found, confidence=confidence)})

    def worst_decile(self, candidate: str, reference: str, split: Split) -> GateResult:
        """Mean difference of the worst tenth of the takes."""
        gate, margin = "worst_decile_log_spectral_db", self.gates.worst_decile_log_spectral_db
        values, lost = self.takes.differences(candidate, reference, "log_spectral_db", split)
        if lost or not len(values):
            return _result(candidate, split, gate, margin, values, "failed", wording.lost(lost))
        worst = np.sort(values)[-max(1, math.ceil(WORST_SHARE * len(values))) :]
        return _guard(candidate, split, gate, margin, worst, n_takes=len(values))

    def baseline(self, candidate: str, split: Split) -> GateResult:
        """Log spectral distance, less that of the filtered sawtooth."""
        gate, margin = "baseline_log_spectral_db", self.gates.baseline_log_spectral_db
        values, lost = self.takes.differences(candidate, BASELINE, "log_spectral_db", split)
        if lost or not len(values):
            return _result(candidate, split, gate, margin, values, "failed", wording.lost(lost))
        return _guard(candidate, split, gate, margin, values, n_takes=len(values))

    def absolute(self, candidate: str, gate: str, split: Split) -> GateResult:
        """The candidate's own mean."""
        margin = float(getattr(self.gates, gate))
        values = self.takes.values(candidate, gate.removeprefix("absolute_"), split)
        if not len(values) or np.isnan(values).any():
            known, lost = values[~np.isnan(values)], max(1, int(np.isnan(values).sum()))
            return _result(candidate, split, gate, margin, known, "failed", wording.lost(lost))
        return _guard(candidate, split, gate, margin, values, n_takes=len(values))


def below_floor(result: GateResult, floor: SeedFloor) -> GateResult:
    """The result, or "not shown" where its margin asks for more than two trainings of one configuration agree on."""
    own = floor.floors.get(result.gate, 0.0)
    if result.margin >= own:
        return result
    reason = wording.undecidable(result.gate, margin=result.margin, floor=own)
    return result.model_copy(update={"status": "not shown", "reason": reason, "floor": own, "takes_needed": None})


def absolute_gates(gates: GateConfig) -> list[str]:
    """Names of the gates that bound the candidate itself."""
    return [name for name in type(gates).model_fields if name.startswith("absolute_")]


def _mean_beyond(values: np.ndarray, margin: float) -> bool:
    return len(values) > 0 and float(np.mean(values)) > margin


def _result(
    candidate: str, split: Split, gate: str, margin: float, values: np.ndarray, status: GateStatus, reason: str
) -> GateResult:
    return GateResult(
        candidate_id=candidate,
        split=split,
        gate=gate,
        mean=float(np.mean(values)) if len(values) else None,
        bound=None,
        margin=margin,
        n_takes=len(values),
        status=status,
        reason=reason,
    )


def _guard(
    candidate: str, split: Split, gate: str, margin: float, values: np.ndarray, *, n_takes: int = 0
) -> GateResult:
    """A point guard: passed where the mean of ``values`` is at most the margin."""
    result = _result(candidate, split, gate, margin, values, "passed", "")
    status: GateStatus = "failed" if _mean_beyond(values, margin) else "passed"
    return result.model_copy(update={"status": status, "n_takes": n_takes, "reason": wording.guard(result)})
