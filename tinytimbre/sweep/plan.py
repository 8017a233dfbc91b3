"""The plan of a sweep: every trial with its identity, size and stratum, before anything is trained.

A trial's id digests all that can change its result: its configuration, the training settings, the fingerprint of the
features and the version of the code that trains. The same trial in another sweep has the same id.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
import pathlib
from collections.abc import Mapping

import pydantic

from tinytimbre.config import SweepConfig
from tinytimbre.decoders.spec import DecoderSpec
from tinytimbre.sweep.space import expand

TRAINING_VERSION = 4
"""Raise it with every change that alters what a trial learns by more than rounding, which another processor does too:
ids follow it, and trials are trained anew."""

SETTINGS_BYTES = 1_400
ROOM_BYTES, ROOM_NUMBER_BYTES = 110, 8


class Distillation(pydantic.BaseModel):
    """How a student is taught: its first ``control_steps`` learn the teacher's controls, the others from audio.

    The twin is the trial that differs from the student in nothing but that it learnt from audio alone.
    """

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    teacher_id: str
    twin_id: str
    steps: int
    control_steps: int


class Trial(pydantic.BaseModel):
    """One configuration for one instrument; ``distillation`` is None unless it is a student."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    trial_id: str
    instrument: str
    decoder: DecoderSpec
    seed: int
    learning_rate: float
    stratum: int
    parameters: int
    decoder_mflops: float
    estimated_bytes: int
    distillation: Distillation | None = None

    @property
    def family(self) -> str:
        """What trials of one instrument share that differ in their training seed alone; students are apart."""
        values = {**self.decoder.model_dump(), "learning_rate": self.learning_rate}
        if self.distillation:
            values["teacher"] = self.distillation.teacher_id
        return " ".join(f"{key}={value}" for key, value in values.items())


class SweepPlan(pydantic.BaseModel):
    """All trials, the step at which each rung ends and, once students are planned, each instrument's teacher."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    name: str
    rungs: tuple[int, ...]
    trials: tuple[Trial, ...]
    teachers: dict[str, str] = {}

    @property
    def instruments(self) -> list[str]:
        """Instruments in the plan, sorted."""
        return sorted({trial.instrument for trial in self.trials})

    def trial(self, trial_id: str) -> Trial:
        """The trial of that id; KeyError if there is none."""
        return self._by_id[trial_id]

    @functools.cached_property
    def _by_id(self) -> dict[str, Trial]:
        return {trial.trial_id: trial for trial in self.trials}

    @property
    def students(self) -> list[Trial]:
        """The distilled trials, in plan order."""
        return [trial for trial in self.trials if trial.distillation]

    def stretch(self, trial: Trial, *, rung: int) -> tuple[int, int]:
        """First step of a trial's training in a rung, and the step it ends before; students train in one go."""
        if trial.distillation:
            return 0, trial.distillation.steps
        return (self.rungs[rung - 1] if rung else 0), self.rungs[rung]

    def save(self, folder: str | pathlib.Path) -> None:
        """Writes ``plan.json``."""
        path = pathlib.Path(folder) / "plan.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.model_dump_json(indent=1))

    @classmethod
    def load(cls, folder: str | pathlib.Path) -> SweepPlan:
        """Reads what `save` wrote."""
        return cls.model_validate_json((pathlib.Path(folder) / "plan.json").read_text())


def plan_sweep(config: SweepConfig, *, fingerprints: Mapping[str, str]) -> SweepPlan:
    """Plans every configuration for every instrument.

    Args:
        config: the sweep.
        fingerprints: of each instrument's features; also says which instruments there are.

    Raises:
        TinyTimbreError: the search space is empty.
    """
    entries = expand(config)
    sizes = [entry["decoder"].parameters for entry in entries]
    trials = [
        _trial(entry, instrument, config, fingerprints[instrument], sizes)
        for instrument in sorted(fingerprints)
        for entry in entries
    ]
    return SweepPlan(name=config.name, rungs=config.budget.rung_steps, trials=tuple(trials))


def _trial(entry: dict[str, object], instrument: str, config: SweepConfig, fingerprint: str, sizes: list[int]) -> Trial:
    decoder = entry["decoder"]
    assert isinstance(decoder, DecoderSpec)
    return Trial.model_validate(
        {
            **entry,
            "trial_id": trial_id(entry, instrument=instrument, config=config, fingerprint=fingerprint),
            "instrument": instrument,
            "stratum": stratum_of(decoder.parameters, sizes=sizes, strata=config.budget.strata),
            "parameters": decoder.parameters,
            "decoder_mflops": decoder.mflops(frame_rate_hz=config.features.frame_rate_hz),
            "estimated_bytes": estimated_bytes(decoder),
        }
    )


def estimated_bytes(decoder: DecoderSpec) -> int:
    """Bytes on disk of the exported model in float16, before it exists; `tinytimbre.export.size` measures it.

    The graph's size follows from its nodes; the figures were read off exported ones and hold within a tenth.
    """
    if decoder.kind == "gru":
        graph = 2_800 + 420 * decoder.depth
    else:
        graph = 1_800 + decoder.depth * (930 + 25 * decoder.kernel_size)
    # The room's numbers are text in settings.json.
    room = ROOM_BYTES + ROOM_NUMBER_BYTES * 2 * decoder.reverb_bands if decoder.reverb_bands else 0
    return graph + 2 * decoder.without_reverb().parameters + SETTINGS_BYTES + room


def trial_id(entry: Mapping[str, object], *, instrument: str, config: SweepConfig, fingerprint: str) -> str:
    """Sixteen hexadecimal digits that stand for everything a trial's result depends on."""
    decoder = entry["decoder"]
    assert isinstance(decoder, DecoderSpec)
    identity = {
        "instrument": instrument,
        "decoder": decoder.model_dump(),
        "learning_rate": entry["learning_rate"],
        "seed": entry["seed"],
        "batch_seed": config.seed,
        # How often to checkpoint and how many trials share a process change the work, not the result.
        "training": config.training.model_dump(exclude={"checkpoint_secs", "side_by_side", "learning_rate"}),
        # The last ends the learning rate's schedule; the others are the steps that results are stored under.
        "rung_steps": config.budget.rung_steps,
        "fingerprint": fingerprint,
        "training_version": TRAINING_VERSION,
    }
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]


def stratum_of(parameters: int, *, sizes: list[int], strata: int) -> int:
    """Which of `strata` bins, equally wide in log size between the smallest and the largest, holds this size."""
    low, high = math.log(min(sizes)), math.log(max(sizes))
    if high == low:
        return 0
    return min(strata - 1, int(strata * (math.log(parameters) - low) / (high - low)))
