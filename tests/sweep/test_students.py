"""Who teaches whom, and students trained for real: both phases, resumed and undisturbed."""

from __future__ import annotations

import collections
import dataclasses
import itertools
import pathlib
import shutil
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.sweep.test_plan import config as space_config
from tests.sweep.test_rung import config, take
from tinytimbre.config import SweepConfig
from tinytimbre.features.examples import write_split
from tinytimbre.sweep import RungResult, SweepPlan, TrialStore, plan_students, plan_sweep, train_rung, trainer
from tinytimbre.sweep.accounts import Stopwatch
from tinytimbre.sweep.plan import Trial
from tinytimbre.sweep.trainer import _Run, train_trials


def taught(settings: SweepConfig, **changes: object) -> SweepConfig:
    distillation = settings.distillation.model_copy(update={"enabled": True, **changes})
    return settings.model_copy(update={"distillation": distillation})


def results_of(plan: SweepPlan, loss: Callable[[Trial], float], *, failed: tuple[str, ...] = ()) -> list[RungResult]:
    return [
        RungResult(trial_id=t.trial_id, rung=2, step=900, status="failed", reason="x")
        if t.trial_id in failed
        else RungResult(trial_id=t.trial_id, rung=2, step=900, status="done", validation_loss=loss(t))
        for t in plan.trials
    ]


def test_the_best_finalist_teaches_the_best_smaller_ones_of_every_stratum() -> None:
    settings = taught(space_config(), students=5)
    plan = plan_sweep(settings, fingerprints={"flute": "a", "sitar": "b"})
    results = results_of(plan, lambda trial: 1e6 / trial.parameters)
    planned = plan_students(plan, results, config=settings)
    assert planned.trials[: len(plan.trials)] == plan.trials
    for instrument in plan.instruments:
        own = [trial for trial in plan.trials if trial.instrument == instrument]
        largest = max(trial.parameters for trial in own)
        teacher = planned.trial(planned.teachers[instrument])
        assert teacher.parameters == largest
        students = [trial for trial in planned.students if trial.instrument == instrument]
        assert len(students) == 5
        assert {trial.distillation.teacher_id for trial in students if trial.distillation} == {teacher.trial_id}
        assert all(trial.parameters < largest for trial in students)
        taught_of = collections.Counter(trial.stratum for trial in students)
        assert set(taught_of) == {trial.stratum for trial in own if trial.parameters < largest}
        for stratum, count in taught_of.items():
            members = sorted(t.parameters for t in own if t.stratum == stratum and t.parameters < largest)
            chosen = sorted(t.parameters for t in students if t.stratum == stratum)
            assert chosen == members[-count:]  # here the larger, the better


def test_a_student_is_its_twin_but_for_its_id() -> None:
    settings = taught(space_config(), control_share=0.25, steps=40)
    plan = plan_sweep(settings, fingerprints={"flute": "a"})
    planned = plan_students(plan, results_of(plan, lambda trial: 1e6 / trial.parameters), config=settings)
    for trial in planned.students:
        assert trial.distillation is not None
        assert (trial.distillation.steps, trial.distillation.control_steps) == (40, 10)
        twin = planned.trial(trial.distillation.twin_id)
        assert trial.model_copy(update={"trial_id": twin.trial_id, "distillation": None}) == twin
        # They differ in more than their seed, so they say nothing about the spread between seeds.
        assert trial.family != twin.family
    assert len({trial.trial_id for trial in planned.trials}) == len(planned.trials)


def test_students_ids_follow_their_teacher_and_settings_and_other_ids_do_not() -> None:
    plan = plan_sweep(space_config(), fingerprints={"flute": "a"})

    def ids(best: int = 0, **changes: object) -> set[str]:
        settings = taught(space_config(), students=3, **changes)
        assert [t.trial_id for t in plan_sweep(settings, fingerprints={"flute": "a"}).trials] == [
            t.trial_id for t in plan.trials
        ]
        ranked = sorted(plan.trials, key=lambda trial: -trial.parameters)
        loss = {trial.trial_id: 1.0 + index for index, trial in enumerate(ranked)} | {ranked[best].trial_id: 0.5}
        results = results_of(plan, lambda trial: loss[trial.trial_id])
        return {trial.trial_id for trial in plan_students(plan, results, config=settings).students}

    assert ids() == ids()
    assert not ids() & ids(best=1)
    assert not ids() & ids(control_share=0.3)
    assert not ids() & ids(steps=899)
    assert ids() == ids(steps=900)  # the last rung's, said aloud


@pytest.mark.parametrize(
    ("step_secs", "tracing", "training"),
    [([5.0, 1.0, 1.0, 7.0, 2.0, 2.0], 9.0, 9.0), ([7.0, 2.0, 2.0], 5.0, 6.0), ([5.0, 1.0, 1.0, 7.0], 11.0, 3.0)],
)
def test_the_first_step_of_either_phase_is_tracing(step_secs: list[float], tracing: float, training: float) -> None:
    """Both phases in one process, the second alone, and of the second nothing but its first step."""
    settings = taught(space_config(), control_share=0.5, steps=6)
    plan = plan_sweep(settings, fingerprints={"flute": "a"})
    student = plan_students(plan, results_of(plan, lambda trial: 1e6 / trial.parameters), config=settings).students[0]
    clock, nothing = Stopwatch(), cast(Any, None)
    step = 4 if len(step_secs) == 4 else 6
    run = _Run([student], nothing, nothing, nothing, nothing, settings, clock, step=step, step_secs=step_secs)
    run._count_steps()
    assert clock.seconds == {"tracing": tracing, "training": training}


def test_failed_finalists_neither_teach_nor_learn() -> None:
    settings = taught(space_config(), students=99)
    plan = plan_sweep(settings, fingerprints={"flute": "a"})
    ranked = sorted(plan.trials, key=lambda trial: -trial.parameters)
    lost = (ranked[0].trial_id, ranked[-1].trial_id)
    planned = plan_students(plan, results_of(plan, lambda t: 1e6 / t.parameters, failed=lost), config=settings)
    assert planned.teachers["flute"] not in lost
    assert {trial.distillation.twin_id for trial in planned.students if trial.distillation}.isdisjoint(lost)


def test_where_the_smallest_is_the_best_nothing_is_distilled() -> None:
    plan = plan_sweep(space_config(), fingerprints={"flute": "a"})
    planned = plan_students(plan, results_of(plan, lambda t: t.parameters), config=taught(space_config()))
    assert planned.trials == plan.trials
    assert planned.trial(planned.teachers["flute"]).parameters == min(trial.parameters for trial in plan.trials)
    assert plan_students(plan, [], config=taught(space_config())).teachers == {}


def test_a_plan_with_students_survives_a_file(tmp_path: pathlib.Path) -> None:
    plan = plan_sweep(space_config(), fingerprints={"flute": "a"})
    planned = plan_students(plan, results_of(plan, lambda t: 1e6 / t.parameters), config=taught(space_config()))
    planned.save(tmp_path)
    assert SweepPlan.load(tmp_path) == planned


@dataclasses.dataclass
class Taught:
    """A teacher trained to its end, its students planned but not trained."""

    settings: SweepConfig
    plan: SweepPlan
    features: str

    def train(self, store: TrialStore, *, settings: SweepConfig | None = None) -> list[RungResult]:
        return train_rung(
            self.plan,
            trial_ids=[trial.trial_id for trial in self.plan.students],
            rung=0,
            features_dir=self.features,
            store=store,
            config=settings or self.settings,
            jobs=1,
        )


@pytest.fixture(scope="module")
def lessons(tmp_path_factory: pytest.TempPathFactory) -> tuple[Taught, pathlib.Path]:
    folder = tmp_path_factory.mktemp("students")
    features = folder / "features"
    write_split([take("a", f0_hz=220), take("b", f0_hz=330)], features_dir=features, split="train")
    write_split([take("c", f0_hz=262)], features_dir=features, split="validation")
    settings = taught(config(steps=(20,), side_by_side=4), control_share=0.6)
    plan = plan_sweep(settings, fingerprints={"tone": "f"})
    teacher = max(plan.trials, key=lambda trial: trial.parameters)
    train_trials(
        [teacher],
        rung=0,
        target_step=20,
        features_dir=str(features),
        store=TrialStore(folder / "store"),
        config=settings,
        on_step=lambda _: None,
        clock=Stopwatch(),
    )
    results = results_of(plan, lambda trial: 0.0 if trial == teacher else 1.0)
    return Taught(settings, plan_students(plan, results, config=settings), str(features)), folder / "store"


def copy_of(store: pathlib.Path, folder: pathlib.Path) -> TrialStore:
    shutil.copytree(store, folder)
    return TrialStore(folder)


def test_students_learn_controls_first_and_audio_then(
    lessons: tuple[Taught, pathlib.Path], tmp_path: pathlib.Path
) -> None:
    work, source = lessons
    store = copy_of(source, tmp_path / "store")
    results = work.train(store)
    assert len(results) == 3
    for result in results:
        assert (result.status, result.step, result.rung) == ("done", 20, 0)
        curve = store.curve(result.trial_id)
        controls, losses = (
            [row["step"] for row in curve if name in row] for name in ("control_distance", "train_loss")
        )
        assert controls == list(range(1, 13))  # 0.6 of 20 steps
        assert losses == list(range(13, 21))
        assert "validation_loss" in curve[-1]
        assert store.trial(result.trial_id).distillation is not None
    assert [result.validation_loss for result in work.train(store)] == [r.validation_loss for r in results]


class Killed(BaseException):
    """Stands for the moment at which a process is killed: nothing after it runs."""


@pytest.mark.parametrize("killed_at", [5, 12, 16])
def test_resumed_in_either_phase_or_between_them_it_ends_the_same(
    lessons: tuple[Taught, pathlib.Path], tmp_path: pathlib.Path, killed_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, source = lessons
    ticks = itertools.count()
    # Every look at the clock is a second after the last, so a step takes one.
    monkeypatch.setattr(trainer, "time", SimpleNamespace(monotonic=lambda: float(next(ticks))))
    undisturbed, killed = copy_of(source, tmp_path / "undisturbed"), copy_of(source, tmp_path / "killed")
    students = [trial for trial in work.plan.students if trial.decoder.kind == "gru"]
    often = work.settings.training.model_copy(update={"checkpoint_secs": 1e-9})
    steps = iter(range(1, 100))

    def stop(_: int) -> None:
        if next(steps) == killed_at:
            raise Killed

    def train(store: TrialStore, on_step: Callable[[int], None]) -> None:
        train_trials(
            students,
            rung=0,
            target_step=20,
            features_dir=work.features,
            store=store,
            config=work.settings.model_copy(update={"training": often}),
            on_step=on_step,
            clock=Stopwatch(),
        )

    train(undisturbed, lambda _: None)
    with pytest.raises(Killed):
        train(killed, stop)
    checkpoint = killed.checkpoint(students[0].trial_id)
    assert checkpoint is not None
    assert checkpoint[0] == (12 if killed_at == 12 else killed_at - 1)  # the last one written before
    train(killed, lambda _: None)
    for trial in students:
        ours, theirs = (store.load_decoder(trial.trial_id).get_weights() for store in (undisturbed, killed))
        assert all((ours[name] == theirs[name]).all() for name in ours)
        assert undisturbed.curve(trial.trial_id) == killed.curve(trial.trial_id)
        # What the kill undid does not count, what came before it does.
        results = [store.result(trial.trial_id, 0) for store in (undisturbed, killed)]
        assert [result and result.train_seconds for result in results] == [20 / len(students)] * 2


def test_students_that_cannot_be_taught_are_recorded_and_stop_nothing(
    lessons: tuple[Taught, pathlib.Path], tmp_path: pathlib.Path
) -> None:
    """The teacher's weights are gone: every student fails, more than ``max_failed_share``."""
    work, _ = lessons
    results = work.train(TrialStore(tmp_path))
    assert [result.status for result in results] == ["failed"] * 3
    assert all("exit code" in result.reason for result in results)
