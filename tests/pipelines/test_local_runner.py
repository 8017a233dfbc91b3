"""What the local runner tells the executors besides their parameters."""

from __future__ import annotations

import os
import sys

import pytest

from components.resources import BEAM_VARIABLE, JOBS_VARIABLE, beam_flags, jobs
from pipelines.local_runner import _surroundings


def test_executors_are_told_jobs_and_flags_while_the_pipeline_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(JOBS_VARIABLE, "7")
    monkeypatch.delenv(BEAM_VARIABLE, raising=False)
    monkeypatch.setattr(sys, "argv", ["tinytimbre", "run"])
    with _surroundings(jobs=3, beam=["--runner=FlinkRunner"]):
        assert (jobs(), beam_flags(), sys.argv) == (3, ["--runner=FlinkRunner"], ["tinytimbre"])
    assert (jobs(), beam_flags(), sys.argv) == (7, [], ["tinytimbre", "run"])
    assert BEAM_VARIABLE not in os.environ
