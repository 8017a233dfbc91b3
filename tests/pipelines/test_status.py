"""What `tinytimbre status` says about training: every stage on its own."""

from __future__ import annotations

import io
import pathlib

import rich.console

from pipelines.commands.status import _trials
from tests.sweep.test_plan import config as space_config
from tinytimbre.sweep import RungResult, TrialStore, plan_students, plan_sweep
from tinytimbre.sweep.store import TuningResult


def test_distillation_and_fine_tuning_are_no_part_of_the_last_rung(tmp_path: pathlib.Path) -> None:
    settings, store = space_config(), TrialStore(tmp_path)
    plan = plan_sweep(settings, fingerprints={"flute": "a"})
    results = [
        RungResult(
            trial_id=trial.trial_id,
            rung=2,
            step=900,
            status="done",
            train_seconds=10.0,
            validation_loss=1 / trial.parameters,
        )
        for trial in plan.trials[:5]
    ]
    plan = plan_students(plan, results, config=settings)
    students = [
        RungResult(trial_id=trial.trial_id, rung=2, step=900, status="failed", reason="x", train_seconds=100.0)
        for trial in plan.students
    ]
    for result in [*results, *students]:
        store.write_trial(plan.trial(result.trial_id))
        store.write_result(result)
    for key, status in (("tuned3-200-v2", "done"), ("tuned2-200-v2", "failed")):
        store.write_tuning_result(
            TuningResult.model_validate(
                {"trial_id": plan.trials[0].trial_id, "key": key, "status": status, "train_seconds": 7.0}
            )
        )
    console = rich.console.Console(file=io.StringIO(), width=100)
    _trials(store, console)
    assert isinstance(console.file, io.StringIO)
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in console.file.getvalue().splitlines()]
    assert [row for row in rows if row] == [
        ["rung 2", "5", "0", "50"],
        ["distillation", "0", str(len(students)), str(100 * len(students))],
        ["fine-tuning, tuned2", "0", "1", "7"],
        ["fine-tuning, tuned3", "1", "0", "7"],
    ]
