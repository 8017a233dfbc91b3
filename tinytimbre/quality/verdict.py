"""What a decision about one instrument consists of: candidates in, gate results and a verdict out.

These are the records that are stored, shown in the report and quoted on the model card; how they
come about is in `tinytimbre.quality.gates`.
"""

from __future__ import annotations

from typing import Literal

import pydantic

SANITY = (
    "octave_f0_missed_points", "octave_level_db", "level_step_db", "voice_f0_missed_points", "voice_level_db",
)  # fmt: skip
"""Measures of `tinytimbre.quality.sanity`."""

GateStatus = Literal["passed", "failed", "not shown"]
Stage = Literal[
    "chosen",
    "collapsed",
    "confirmed",
    "failed on test",
    "not shown on test",
    "failed on validation",
    "undecidable",
    "outdone",
    "not tested",
    "not evaluated",
]


class Record(pydantic.BaseModel):
    """Immutable; an unknown field is an error; written as JSON without NaN."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Candidate(Record):
    """One exported model that could be shipped; ``candidate_id`` is ``<trial_id>-<quantisation>``."""

    candidate_id: str
    instrument: str
    bytes_brotli: int = pydantic.Field(ge=0, description="graph, weights and settings, each compressed")
    parameters: int = pydantic.Field(0, ge=0)
    decoder_mflops: float = pydantic.Field(0.0, ge=0)
    quantisation: str = ""
    failure: str = pydantic.Field("", description="why it could not be evaluated; empty where it was")
    family: str = pydantic.Field("", description="the same for models that differ in their training seed alone")
    sanity: dict[str, float] = pydantic.Field({}, description="measures of `tinytimbre.quality.sanity` by name")

    @property
    def trial_id(self) -> str:
        """Of the training it comes from; its other quantisations share it."""
        return self.candidate_id.removesuffix(f"-{self.quantisation}")


class GateResult(Record):
    """One gate, for one candidate, on one split.

    ``mean`` is the mean over takes of the paired difference to the reference (positive: the candidate
    is worse), or of the candidate's own value where the gate is absolute; ``bound`` its one-sided upper
    confidence bound (None for point guards and where too few takes exist). The gate passes where the
    bound (for point guards the mean) is at most ``margin``.
    """

    candidate_id: str
    split: Literal["validation", "test"]
    gate: str
    mean: float | None
    bound: float | None
    margin: float
    n_takes: int
    status: GateStatus
    reason: str
    takes_needed: int | None = pydantic.Field(None, description="for 80 % power, where the gate is not shown")
    smallest_margin: float | None = pydantic.Field(
        None, description="that these takes could show for an equal model with 80 % power"
    )

    floor: float | None = pydantic.Field(None, description="seed-to-seed floor, where it lies above the margin")

    @property
    def undecidable(self) -> bool:
        """Whether the margin asks for more than two trainings of one configuration agree on."""
        return self.floor is not None

    @property
    def passed(self) -> bool:
        """Whether the gate is shown to hold."""
        return self.status == "passed"


class SeedFloor(Record):
    """How much two trainings of one configuration differ: seeds compared on validation, by metric.

    Of a verdict: over the configurations in question, the best model's and those within its margins.
    """

    n_families: int = pydantic.Field(0, ge=0, description="configurations with at least 3 seeds; 0: not measured")
    n_models: int = pydantic.Field(0, ge=0)
    floors: dict[str, float] = {}


class Outcome(Record):
    """What became of one candidate, in one word and in words."""

    candidate_id: str
    bytes_brotli: int
    stage: Stage
    reason: str


class Verdict(Record):
    """The decision for one instrument; `tinytimbre.quality.gates.judge` makes it.

    ``chosen`` is None where nothing qualifies; then ``nearest`` names the candidate that came closest.
    ``shown`` says whether a model smaller than the reference was confirmed on test.
    """

    instrument: str
    chosen: str | None
    reference: str | None
    nearest: str | None = None
    shown: bool = False
    summary: str
    reasons: tuple[str, ...] = ()
    n_takes: int = pydantic.Field(description="test takes")
    n_validation_takes: int = 0
    confidence: float
    test_order: tuple[str, ...] = pydantic.Field((), description="fixed on validation, before test was looked at")
    floor: SeedFloor = SeedFloor()
    gates: tuple[GateResult, ...] = ()
    outcomes: tuple[Outcome, ...] = pydantic.Field((), description="every candidate, smallest first")

    def results(self, candidate_id: str, *, split: str = "test") -> tuple[GateResult, ...]:
        """The gate results of one candidate on one split; empty where it was not tested there."""
        return tuple(g for g in self.gates if g.candidate_id == candidate_id and g.split == split)
