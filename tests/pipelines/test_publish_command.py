"""Which model `tinytimbre publish` means, by what the gates said of it."""

from __future__ import annotations

import pathlib

import pandas as pd
import pytest

from components.model_pusher.publishing import FinishedSweep
from pipelines.commands.publish import choose
from tinytimbre.audio.recording import RecordingSet
from tinytimbre.errors import TinyTimbreError
from tinytimbre.quality.verdict import Outcome, Verdict
from tinytimbre.report.tables import CANDIDATE_COLUMNS, SweepTables, empty_table

STAGES = {
    "aa11-int4": "failed on validation",
    "aa11-uint8": "confirmed",
    "aa11-float32": "outdone",
    "aa22-uint8": "chosen",
    "bb33-int4": "not shown on test",
    "bb33-float32": "failed on test",
}


@pytest.fixture
def sweep() -> FinishedSweep:
    """Of one instrument; the models are listed by size."""
    rows = [
        {
            "candidate_id": one,
            "trial_id": one[:4],
            "instrument": "reed",
            "quantisation": one[5:],
            "total_brotli": 1000 + n,
        }
        for n, one in enumerate(STAGES)
    ]
    candidates = pd.DataFrame(rows, columns=list(CANDIDATE_COLUMNS)).assign(status="evaluated")
    outcomes = [
        Outcome(candidate_id=one, bytes_brotli=1000 + n, stage=stage, reason=f"it is {stage}")
        for n, (one, stage) in enumerate(STAGES.items())
    ]
    verdict = Verdict(
        instrument="reed", chosen="aa22-uint8", reference="aa22-uint8", summary="", n_takes=8, confidence=0.95,
        outcomes=tuple(outcomes),
    )  # fmt: skip
    tables = SweepTables(
        trials=empty_table("trials"),
        candidates=candidates.sample(frac=1, random_state=0),
        clips=empty_table("clips"),
        curves=empty_table("curves"),
        verdicts={"reed": verdict},
        audio=[],
    )
    return FinishedSweep(
        tables=tables, models_dir=pathlib.Path("none"), recordings=RecordingSet(recordings=(), sample_rate_hz=1)
    )


def test_without_a_trial_it_is_the_chosen_one(sweep: FinishedSweep) -> None:
    assert choose(sweep, instrument="reed", trial=None) == "aa22-uint8"


def test_of_a_trial_it_is_the_smallest_that_was_accepted(sweep: FinishedSweep) -> None:
    assert choose(sweep, instrument="reed", trial="aa11") == "aa11-uint8"
    assert choose(sweep, instrument="reed", trial="aa2") == "aa22-uint8"


def test_of_a_trial_without_an_accepted_model_it_is_none(sweep: FinishedSweep) -> None:
    with pytest.raises(TinyTimbreError, match="smallest model of the trial that was accepted") as caught:
        choose(sweep, instrument="reed", trial="bb33")
    assert "it is failed on test" in caught.value.got
    assert "it is not shown on test" in caught.value.got
    assert caught.value.remedy.endswith("--trial bb33-int4")


def test_a_quantisation_that_is_named_is_meant_whatever_the_gates_said(sweep: FinishedSweep) -> None:
    assert choose(sweep, instrument="reed", trial="bb33-int4") == "bb33-int4"
    assert choose(sweep, instrument="reed", trial="bb-float32") == "bb33-float32"
