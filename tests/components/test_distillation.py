"""The stage of students, node by node: trained, exported, judged and reported beside their undistilled twins."""

from __future__ import annotations

import json
import pathlib

import pytest
from bench import SMOKE, Bench, Finished
from tfx.types.artifact import Artifact

from components.model_pusher.publishing import FinishedSweep, card_facts
from components.trial_results import load_results, load_survivors
from components.web_models import load_models
from pipelines.pipeline import Places, create_pipeline
from tinytimbre.audio.recording import RecordingSet
from tinytimbre.config import SweepConfig, load_config
from tinytimbre.export.card import write_card
from tinytimbre.report.distillation import distillation_words, twin_pairs
from tinytimbre.report.tables import SweepTables
from tinytimbre.sweep import SweepPlan, TrialStore


def _config(*, enabled: bool = True) -> SweepConfig:
    """Two models; one harmonic cannot play the eight of the recordings, so the larger model teaches the smaller.

    By spectra alone: after ten steps the levels are still anywhere.
    """
    smoke = load_config(SMOKE).model_dump()
    space = {"decoder": ["gru"], "input": ["loudness"], "harmonics": [1, 8], "noise_bands": [9], "width": [4]}
    changes = {
        "search": {"space": space},
        "training": {**smoke["training"], "loudness_weight": 0.0},
        "budget": {"rung_steps": [10], "strata": 1},
        "export": {"quantisations": ["uint8"]},
        "distillation": {"enabled": enabled, "steps": 12},
    }
    return SweepConfig.model_validate({**smoke, **changes})


@pytest.fixture(scope="module")
def distilled(finished: Finished) -> Finished:
    """On the features of the other sweep, with its trial store."""
    bench = Bench(finished.bench.folder, _config(), shards=1, runs=200)
    features, recordings = finished.outputs["FeatureExtractor"], finished.outputs["RecordingExampleGen"]
    made: dict[str, dict[str, Artifact]] = {"RecordingExampleGen": recordings, "FeatureExtractor": features}
    plan = made["SweepPlanner"] = bench.run("SweepPlanner", features)
    rung = made["SweepTrainer_rung0_shard00"] = bench.run("SweepTrainer_rung0_shard00", {**features, **plan})
    merged = bench.run("RungPromoter_rung0", {**plan, "trials_00": rung["trials"]})
    made["RungPromoter_rung0"] = merged
    made["StudentPlanner"] = bench.run("StudentPlanner", {**plan, "finalists": merged["survivors"]})
    plan = {"plan": made["StudentPlanner"]["plan_with_students"]}
    students = {"survivors": made["StudentPlanner"]["students"]}
    trained = bench.run("SweepTrainer_distil_shard00", {**features, **plan, **students})
    made["SweepTrainer_distil_shard00"] = trained
    both = {"trials_00": merged["survivors"], "trials_01": trained["trials"]}
    made["RungPromoter_distil"] = bench.run("RungPromoter_distil", {**plan, **both})
    finalists = {"finalists": made["RungPromoter_distil"]["survivors"]}
    made["TfjsExporter"] = bench.run("TfjsExporter", {**recordings, **features, **plan, **finalists})
    made["QualityEvaluator"] = bench.run("QualityEvaluator", {**features, **plan, **made["TfjsExporter"]})
    made["ModelSelector"] = bench.run("ModelSelector", {**made["QualityEvaluator"], **made["RecordingExampleGen"]})
    return Finished(bench, made)


def test_the_students_of_the_plan_are_trained(distilled: Finished) -> None:
    plan = SweepPlan.load(distilled.folder("StudentPlanner", "plan_with_students"))
    (student,) = plan.students
    assert student.distillation is not None
    assert student.distillation.teacher_id == plan.teachers["reed"]
    assert load_survivors(distilled.folder("StudentPlanner", "students")) == [student.trial_id]
    (result,) = load_results([distilled.folder("SweepTrainer_distil_shard00", "trials")])
    assert (result.trial_id, result.status, result.step) == (student.trial_id, "done", 12)
    store = TrialStore(distilled.bench.folder / "trials")
    assert store.load_decoder(student.trial_id).spec.harmonics == 1
    assert sum("control_distance" in row for row in store.curve(student.trial_id)) == 6


def test_finalists_and_students_go_on_together(distilled: Finished) -> None:
    plan = SweepPlan.load(distilled.folder("StudentPlanner", "plan_with_students"))
    everyone = [trial.trial_id for trial in plan.trials]
    assert load_survivors(distilled.folder("RungPromoter_distil", "survivors")) == everyone
    assert {model.trial_id for model in load_models(distilled.folder("TfjsExporter", "models"))} == set(everyone)


def test_the_report_compares_twins(distilled: Finished) -> None:
    folder = distilled.folder("ModelSelector", "selection")
    tables = SweepTables.load(folder)
    (pair,) = twin_pairs(tables, instrument="reed").to_dict("records")
    by_trial = tables.candidates.set_index("trial_id")["log_spectral_db"]
    assert pair["log_spectral_db_worse"] == pytest.approx(by_trial[pair["student"]] - by_trial[pair["twin"]])
    words = distillation_words(tables, instrument="reed")
    assert "1 model distilled from" in words
    page = (folder / "report.html").read_text()
    assert "Did distillation pay?" in page
    assert f'"teacher":"{pair["teacher"]}"' in page


def test_the_card_names_the_teacher(distilled: Finished) -> None:
    sweep = FinishedSweep(
        tables=SweepTables.load(distilled.folder("ModelSelector", "selection")),
        models_dir=distilled.folder("TfjsExporter", "models"),
        recordings=RecordingSet.load(distilled.folder("RecordingExampleGen", "recordings")),
    )
    (pair,) = twin_pairs(sweep.tables, instrument="reed").to_dict("records")
    cards = {
        model.trial_id: write_card(card_facts(model, sweep=sweep, samples={}))
        for model in load_models(sweep.models_dir)
    }
    assert f"distilled from trial `{pair['teacher']}`" in cards[pair["student"]]
    assert "distilled" not in cards[pair["twin"]]


def test_the_stage_is_there_only_where_it_is_wanted_and_as_wide_as_the_others() -> None:
    places = Places(recordings="/r", root="/a", trials="/t", cache="/c", publish_to="/p", boards="/b")
    plain, taught = (
        {
            node.id: node
            for node in create_pipeline(
                _config(enabled=enabled), places=places, recordings_digest="0", shards=64
            ).components
        }
        for enabled in (False, True)
    )
    extra = {*taught} - {*plain}
    assert extra == {
        "StudentPlanner",
        "RungPromoter_distil",
        *(f"SweepTrainer_distil_shard{shard:02d}" for shard in range(64)),
    }
    # Switching it on must not train the rungs again: TFX's cache looks at the parameters.
    for name in ("SweepPlanner", "SweepTrainer_rung0_shard00", "RungPromoter_rung0"):
        assert json.dumps(plain[name].exec_properties) == json.dumps(taught[name].exec_properties)
    assert len([key for key in taught["RungPromoter_distil"].inputs if key.startswith("trials_")]) == 65


def test_a_single_model_has_nobody_to_teach(distilled: Finished) -> None:
    """The planner, the trainer and the promoter pass the finalists on."""
    config = _config()
    space = {**config.search.space, "harmonics": [8]}
    config = config.model_copy(update={"search": config.search.model_copy(update={"space": space})})
    bench = Bench(distilled.bench.folder, config, shards=1, runs=300)
    features = distilled.outputs["FeatureExtractor"]
    plan = bench.run("SweepPlanner", features)
    rung = bench.run("SweepTrainer_rung0_shard00", {**features, **plan})  # from the store: trained before
    merged = bench.run("RungPromoter_rung0", {**plan, "trials_00": rung["trials"]})["survivors"]
    planned = bench.run("StudentPlanner", {**plan, "finalists": merged})
    extended = {"plan": planned["plan_with_students"]}
    trained = bench.run("SweepTrainer_distil_shard00", {**features, **extended, "survivors": planned["students"]})
    both = {"trials_00": merged, "trials_01": trained["trials"]}
    after = bench.run("RungPromoter_distil", {**extended, **both})["survivors"]
    assert load_survivors(pathlib.Path(after.uri)) == load_survivors(pathlib.Path(merged.uri))
