"""What came of each instrument: the chosen model, the smallest of every quantisation, sizes beside the references."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.findings.pairs import Difference, difference, exported
from benchmarks.findings.sweeps import Sweep
from benchmarks.references import REFERENCES, Reference
from tinytimbre.decoders.spec import DecoderSpec
from tinytimbre.quality.bounds import MIN_TAKES, two_sided
from tinytimbre.quality.gates import judge
from tinytimbre.quality.take_values import METRICS, TakeValues
from tinytimbre.quality.verdict import Verdict
from tinytimbre.report.tables import candidates_of

CONFIDENCE = 0.95
DRAWS = 2000
PLAIN = "float32"
LARGER_THAN_ANY = 10**12


@dataclasses.dataclass(frozen=True)
class Measured:
    """A mean over test takes with its 95 % interval; without ends where there are fewer than three takes."""

    mean: float
    low: float | None
    high: float | None

    def words(self, digits: int = 2) -> str:
        """``3.12 (2.80 … 3.44)``."""
        if self.low is None or self.high is None:
            return f"{self.mean:.{digits}f} (too few takes)"
        return f"{self.mean:.{digits}f} ({self.low:.{digits}f} … {self.high:.{digits}f})"


@dataclasses.dataclass(frozen=True)
class Model:
    """One exported model and what it costs."""

    candidate_id: str
    decoder: str
    quantisation: str
    parameters: int
    n_bytes: int
    n_brotli: int
    decoder_mflops: float
    metrics: dict[str, Measured]


@dataclasses.dataclass(frozen=True)
class Beside:
    """The shown model beside a reference that was trained on the same data for as long.

    Attributes:
        name: of the reference.
        model: the reference in float32; None where it was not trained.
        same_bits: the reference's bytes with brotli in the quantisation of the shown model, if it was exported so.
        distance: by how much the shown model is worse in log spectral distance; negative: better.
    """

    name: str
    model: Model | None
    same_bits: int | None
    distance: Difference | None


@dataclasses.dataclass(frozen=True)
class InstrumentResult:
    """Everything the tables say about an instrument.

    Attributes:
        instrument: its name.
        origin: workspace and sweep the verdict comes from.
        best: the reference of the verdict; None where nothing could be judged.
        shown: what ships: the chosen model; None where none qualifies.
        smaller_shown: whether a model smaller than the best was shown to be as good.
        verdict: in words.
        takes_needed: test takes that the safest smaller candidate would need; None where one is shown, or more takes
            would not help.
        n_takes: test takes there are.
        smallest: the smallest accepted model of every quantisation exported; None where none is.
        beside: in the order of `benchmarks.references.REFERENCES`.
    """

    instrument: str
    origin: str
    best: Model | None
    shown: Model | None
    smaller_shown: bool
    verdict: str
    takes_needed: int | None
    n_takes: int
    smallest: dict[str, Model | None]
    beside: tuple[Beside, ...]

    def record(self) -> dict[str, Any]:
        """For JSON."""
        return dataclasses.asdict(self)


def instrument_result(sweep: Sweep, *, instrument: str) -> InstrumentResult:
    """From the verdict of a sweep; where it is a search without references, they are missing."""
    verdict = sweep.verdict(instrument)
    if verdict is None:
        origin = f"{sweep.origin}/{sweep.config.name}"
        return InstrumentResult(instrument, origin, None, None, False, "nothing could be judged", None, 0, {}, ())
    models = _Models(sweep, instrument=instrument)
    return InstrumentResult(
        instrument=instrument,
        origin=f"{sweep.origin}/{sweep.config.name}",
        best=models.one(verdict.reference),
        shown=models.one(verdict.chosen),
        smaller_shown=verdict.shown,
        verdict=verdict.summary,
        takes_needed=_takes_needed(verdict),
        n_takes=verdict.n_takes,
        smallest={one: models.one(_smallest(sweep, verdict, one)) for one in sweep.config.export.quantisations},
        beside=tuple(
            _beside(models, known, verdict.chosen, margin=sweep.config.gates.log_spectral_db) for known in REFERENCES
        ),
    )


class _Models:
    """The exported models of one instrument."""

    def __init__(self, sweep: Sweep, *, instrument: str) -> None:
        table = exported(sweep, instrument=instrument)
        self.table = table.set_index("candidate_id", drop=False)
        self.takes = TakeValues(sweep.tables.clips[sweep.tables.clips["instrument"] == instrument])

    def one(self, candidate_id: str | None) -> Model | None:
        """None for none."""
        if candidate_id is None or candidate_id not in self.table.index:
            return None
        row: dict[str, Any] = self.table.loc[candidate_id].to_dict()  # type: ignore[assignment]
        return Model(
            candidate_id=candidate_id,
            decoder=str(row["decoder"]),
            quantisation=str(row["quantisation"]),
            parameters=int(row["parameters"]),
            n_bytes=int(row["total_bytes"]),
            n_brotli=int(row["total_brotli"]),
            decoder_mflops=float(row["decoder_mflops"]),
            metrics=self._metrics(candidate_id),
        )

    def _metrics(self, candidate_id: str) -> dict[str, Measured]:
        values = {metric: self.takes.values(candidate_id, metric, "test") for metric in METRICS}
        known = {metric: own[np.isfinite(own)] for metric, own in values.items()}
        return {metric: _measured(own, metric=metric) for metric, own in known.items() if len(own)}


def _measured(values: np.ndarray, *, metric: str) -> Measured:
    if len(values) < MIN_TAKES:
        return Measured(float(values.mean()), None, None)
    # A distance is not negative, an accuracy not above 100.
    most = 100.0 if metric.endswith("_points") else np.inf
    ends = two_sided(values, confidence=CONFIDENCE, draws=DRAWS, seed=0)
    low, high = (float(np.clip(end, 0.0, most)) for end in ends)
    return Measured(float(values.mean()), low, high)


def _takes_needed(verdict: Verdict) -> int | None:
    """What the most demanding open gate of the safest smaller candidate asks for."""
    if verdict.shown or len(verdict.test_order) < 2:
        return None
    open_gates = [gate for gate in verdict.results(verdict.test_order[1]) if gate.status == "not shown"]
    return max((gate.takes_needed for gate in open_gates if gate.takes_needed), default=None)


def _smallest(sweep: Sweep, verdict: Verdict, quantisation: str) -> str | None:
    """What ships, in its quantisation; in others the choice among the models of it and the best.

    Each is a sequence of tests at a level of its own, so another order may show less than the whole decision has.
    """
    if verdict.reference is None or verdict.chosen is None:
        return None
    if verdict.chosen.endswith(f"-{quantisation}"):
        return verdict.chosen
    own = [
        # Against a best model of fewer bits larger ones count too.
        one if one.quantisation == quantisation else one.model_copy(update={"bytes_brotli": LARGER_THAN_ANY})
        for one in candidates_of(sweep.tables.candidates, instrument=verdict.instrument)
        if one.quantisation == quantisation or one.candidate_id == verdict.reference
    ]
    chosen = judge(own, sweep.tables.clips, gates=sweep.config.gates, seed=sweep.config.seed).chosen
    return chosen if chosen and chosen.endswith(f"-{quantisation}") else None


def _beside(models: _Models, known: Reference, chosen: str | None, *, margin: float) -> Beside:
    of_kind = models.table[_is(models.table, known.decoder)]
    plain = of_kind[of_kind["quantisation"] == PLAIN]
    distances = plain["candidate_id"].map(models.takes.evaluated())
    if chosen is None or distances.isna().all():
        return Beside(known.name, None, None, None)
    # Of several learning rates the one that does best on validation.
    best = str(distances.idxmin())
    bits = models.table.loc[chosen, "quantisation"]
    same = of_kind[(of_kind["trial_id"] == plain.loc[best, "trial_id"]) & (of_kind["quantisation"] == bits)]
    values, _ = models.takes.differences(chosen, best, "log_spectral_db", "test")
    return Beside(
        name=known.name,
        model=models.one(best),
        same_bits=int(same["total_brotli"].iloc[0]) if len(same) else None,
        distance=difference(
            values, what=f"shown model against {known.name}", unit="dB", over="test takes", margin=margin
        ),
    )


def _is(table: pd.DataFrame, spec: DecoderSpec) -> pd.Series:
    """Rows of trials with this decoder, students left out."""
    fields = {"decoder": spec.kind, **spec.model_dump(exclude={"kind", "kernel_size"})}
    alike = table["distillation"] != "student"
    for name, value in fields.items():
        alike &= table[name] == value
    return alike
