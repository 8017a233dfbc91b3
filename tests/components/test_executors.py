"""What each executor leaves behind, read with the library and not with the component that wrote it."""

from __future__ import annotations

import io
import json
import os
import pathlib

import numpy as np
import pytest
import rich.console
from bench import NOTES, Bench, Finished
from tfx.types.artifact import Artifact

from components.quality_evaluator.evaluation import Evaluation
from components.quality_evaluator.tables import sweep_tables
from components.quality_evaluator.validations import validations
from components.resources import JOBS_VARIABLE, jobs
from components.trial_results import load_results, load_survivors
from components.web_models import load_failures, load_models
from tinytimbre.audio.recording import RecordingSet
from tinytimbre.errors import TinyTimbreError
from tinytimbre.export.bundle import validate_bundle
from tinytimbre.export.size import measure_bundle
from tinytimbre.features.artifact import load_index, load_statistics
from tinytimbre.features.examples import SPLITS, read_features
from tinytimbre.quality.baseline import BASELINE
from tinytimbre.quality.verdict import SANITY
from tinytimbre.report.tables import SweepTables
from tinytimbre.report.terminal import front_table
from tinytimbre.sweep import SweepPlan, TrialStore
from tinytimbre.validation.chromium import find_chromium
from tinytimbre.validation.jobs import Validation

RUNS_WITHOUT_MEMORY, RUNS_WITHOUT_MODEL = 300, 400


def test_recordings_are_checked_and_counted(finished: Finished) -> None:
    recordings = RecordingSet.load(finished.folder("RecordingExampleGen", "recordings"))
    assert len(recordings.accepted("reed")) == NOTES
    assert [recording.path for recording in recordings.rejected()] == ["reed/notes.wav"]
    artifact = finished.outputs["RecordingExampleGen"]["recordings"]
    assert artifact.get_int_custom_property("accepted") == NOTES
    assert artifact.get_int_custom_property("rejected") == 1


def test_every_recording_has_features_in_its_split(finished: Finished) -> None:
    folder = finished.folder("FeatureExtractor", "features")
    recordings = RecordingSet.load(finished.folder("RecordingExampleGen", "recordings")).accepted()
    found = {take.recording_id: split for split in SPLITS for take in read_features(folder, split=split)}
    assert found == {recording.recording_id: recording.split for recording in recordings}
    assert load_statistics(folder)["reed"].seconds > 0
    fingerprints = json.loads(
        finished.outputs["FeatureExtractor"]["features"].get_string_custom_property("fingerprints")
    )
    assert fingerprints == load_index(folder).fingerprints


def test_features_are_taken_from_the_store_the_second_time(finished: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("extracted again")

    monkeypatch.setattr("components.feature_extractor.transforms.extract_features", never)
    again = finished.bench.run("FeatureExtractor", finished.outputs["RecordingExampleGen"])["features"]
    before, after = finished.folder("FeatureExtractor", "features"), pathlib.Path(again.uri)
    for split in SPLITS:
        pairs = zip(read_features(before, split=split), read_features(after, split=split), strict=True)
        for first, second in pairs:
            np.testing.assert_array_equal(first.audio, second.audio)
            np.testing.assert_array_equal(first.f0_hz, second.f0_hz)


def test_the_plan_carries_the_sweep(finished: Finished) -> None:
    plan = SweepPlan.load(finished.folder("SweepPlanner", "plan"))
    assert plan.instruments == ["reed"]
    assert plan.rungs == finished.bench.config.budget.rung_steps
    assert finished.outputs["SweepPlanner"]["plan"].get_int_custom_property("n_trials") == len(plan.trials) == 4


def test_shards_share_the_trials_of_a_rung(finished: Finished) -> None:
    plan = SweepPlan.load(finished.folder("SweepPlanner", "plan"))
    shards = [load_results([finished.folder(f"SweepTrainer_rung0_shard{shard:02d}", "trials")]) for shard in (0, 1)]
    assert [len(shard) for shard in shards] == [2, 2]
    assert {result.trial_id for shard in shards for result in shard} == {trial.trial_id for trial in plan.trials}
    assert all(result.status == "done" and result.step == plan.rungs[0] for shard in shards for result in shard)


def test_the_best_of_the_rung_survive(finished: Finished) -> None:
    folder = finished.folder("RungPromoter_rung0", "survivors")
    results = load_results([folder])
    ranked = sorted(results, key=lambda result: (result.validation_loss, result.trial_id))
    assert set(load_survivors(folder)) == {result.trial_id for result in ranked[:2]}  # eta 2, one stratum
    assert set(load_survivors(finished.folder("RungPromoter_rung1", "survivors"))) == set(load_survivors(folder))


def test_the_trial_store_holds_what_was_trained(finished: Finished) -> None:
    store = TrialStore(finished.bench.folder / "trials")
    for trial_id in load_survivors(finished.folder("RungPromoter_rung1", "survivors")):
        assert [result.rung for result in store.results(trial_id)] == [0, 1]
        assert store.curve(trial_id)[-1]["step"] == finished.bench.config.budget.rung_steps[-1]


def test_a_rung_that_nobody_finishes_is_an_error(finished: Finished, tmp_path: pathlib.Path) -> None:
    source = finished.folder("SweepTrainer_rung0_shard00", "trials")
    results = [{**result, "status": "failed", "reason": "diverged"} for result in json.loads(_text(source))]
    artifact = type(finished.outputs["SweepTrainer_rung0_shard00"]["trials"])()
    artifact.uri = str(tmp_path)
    (tmp_path / "results.json").write_text(json.dumps(results))
    with pytest.raises(TinyTimbreError, match="at least one trial must finish") as caught:
        finished.bench.run("RungPromoter_rung0", {**finished.outputs["SweepPlanner"], "trials_00": artifact})
    assert caught.value.cause == "diverged"


def _text(folder: pathlib.Path) -> str:
    return (folder / "results.json").read_text()


def test_finalists_are_exported_in_every_quantisation(finished: Finished) -> None:
    folder = finished.folder("TfjsExporter", "models")
    models = load_models(folder)
    finalists = load_survivors(finished.folder("RungPromoter_rung1", "survivors"))
    assert {(model.trial_id, model.quantisation) for model in models} == {
        (trial_id, quantisation)
        for trial_id in finalists
        for quantisation in ("float32", "float16", "uint8", "int4", "tuned3")
    }
    for model in models:
        assert validate_bundle(folder / model.path).trial_id == model.trial_id
        assert measure_bundle(folder / model.path) == model.size


def test_finalists_that_cannot_be_tuned_are_left_out_with_the_reason(finished: Finished) -> None:
    """A worker that may use less than TensorFlow itself does ends at once; the other quantisations need none."""
    config = finished.bench.config
    budget = config.budget.model_copy(update={"worker_memory_mb": 100})
    export = config.export.model_copy(update={"tuning_steps": 5})  # which nobody has tuned for yet
    poor = Bench(
        finished.bench.folder, config.model_copy(update={"budget": budget, "export": export}), runs=RUNS_WITHOUT_MEMORY
    )
    made, finalists = finished.outputs, finished.outputs["RungPromoter_rung1"]["survivors"]
    common = {**made["FeatureExtractor"], **made["SweepPlanner"]}
    exported = poor.run("TfjsExporter", {**common, **made["RecordingExampleGen"], "finalists": finalists})
    folder, n_finalists = pathlib.Path(exported["models"].uri), len(load_survivors(pathlib.Path(finalists.uri)))
    assert {model.quantisation for model in load_models(folder)} == {"float32", "float16", "uint8", "int4"}
    lost = load_failures(folder)
    assert [failure.quantisation for failure in lost] == ["tuned3"] * n_finalists
    assert all("out of memory beyond 100 MB" in failure.reason for failure in lost)
    assert exported["models"].get_int_custom_property("n_failed") == n_finalists
    report = poor.run("QualityEvaluator", {**common, **exported})
    candidates = SweepTables.load(pathlib.Path(report["report"].uri)).candidates
    assert dict(zip(candidates["quantisation"], candidates["status"], strict=True)) == {
        **dict.fromkeys(("float32", "float16", "uint8", "int4"), "evaluated"),
        "tuned3": "failed",
    }
    selected = poor.run("ModelSelector", {**report, **made["RecordingExampleGen"]})["selection"]
    page = (pathlib.Path(selected.uri) / "report.html").read_text()
    assert page.count("fine-tuning failed: out of memory beyond 100 MB") >= n_finalists
    tables = SweepTables.load(pathlib.Path(selected.uri))
    assert tables.verdicts["reed"].chosen is not None
    rich.console.Console(file=io.StringIO()).print(front_table(tables, instrument="reed"))


def test_without_a_single_model_the_export_says_why(finished: Finished) -> None:
    config = finished.bench.config
    budget = config.budget.model_copy(update={"worker_memory_mb": 100})
    export = config.export.model_copy(update={"tuning_steps": 5, "quantisations": ("tuned3",)})
    poor = Bench(
        finished.bench.folder, config.model_copy(update={"budget": budget, "export": export}), runs=RUNS_WITHOUT_MODEL
    )
    made = {key: finished.outputs[key] for key in ("RecordingExampleGen", "FeatureExtractor", "SweepPlanner")}
    inputs = {name: artifact for outputs in made.values() for name, artifact in outputs.items()}
    with pytest.raises(TinyTimbreError, match="at least one finalist must be exported") as caught:
        poor.run("TfjsExporter", {**inputs, "finalists": finished.outputs["RungPromoter_rung1"]["survivors"]})
    assert "out of memory" in caught.value.cause


def test_every_model_is_measured_on_every_held_out_take(finished: Finished) -> None:
    tables = SweepTables.load(finished.folder("QualityEvaluator", "report"))
    features = finished.folder("FeatureExtractor", "features")
    n_takes = sum(len(read_features(features, split=split)) for split in ("validation", "test"))
    assert (tables.clips.groupby("candidate_id").size() == n_takes).all()
    assert (tables.candidates["status"] == "evaluated").all()
    assert tables.candidates["log_spectral_db"].notna().all()
    assert set(tables.curves["trial_id"]) == set(tables.trials["trial_id"])


def test_every_model_is_tried_as_transfer_plays_it_and_beside_a_baseline(finished: Finished) -> None:
    tables = SweepTables.load(finished.folder("QualityEvaluator", "report"))
    measures = tables.candidates[list(SANITY)].astype(float)
    assert measures.notna().all(axis=None)
    assert (measures >= 0).all(axis=None)
    baseline = tables.clips[tables.clips["candidate_id"] == BASELINE]
    of_a_model = tables.clips[tables.clips["candidate_id"] == tables.candidates["candidate_id"].iloc[0]]
    assert sorted(baseline["recording_id"]) == sorted(of_a_model["recording_id"])
    # Eight harmonics at 0.8 ** k are a fixed spectrum, which a filter can learn; twelve steps of training are not much.
    assert baseline["log_spectral_db"].mean() < of_a_model["log_spectral_db"].mean()
    assert set(tables.trials["seed"]) == {0}
    assert tables.candidates["family"].str.contains("learning_rate").all()


def judged(finished: Finished) -> dict[str, Artifact]:
    """What the selector is given."""
    return {**finished.outputs["QualityEvaluator"], **finished.outputs["RecordingExampleGen"]}


def test_a_model_that_collapses_is_not_selected(finished: Finished) -> None:
    gates = finished.bench.config.gates.model_copy(update={"sanity_level_step_db": 1e-6})
    strict = Bench(finished.bench.folder, finished.bench.config.model_copy(update={"gates": gates}), runs=200)
    folder = pathlib.Path(strict.run("ModelSelector", judged(finished))["selection"].uri)
    verdict = SweepTables.load(folder).verdicts["reed"]
    assert verdict.chosen is None
    assert {outcome.stage for outcome in verdict.outcomes} == {"collapsed"}
    assert "collapses" in (folder / "report.html").read_text()


def test_the_models_in_the_report_have_an_opinion(finished: Finished) -> None:
    tables = SweepTables.load(finished.folder("ModelSelector", "selection"))
    heard = {clip.candidate_id for clip in tables.audio if clip.candidate_id}
    scored = tables.candidates.dropna(subset="visqol_mos")
    assert set(scored["candidate_id"]) == heard
    assert scored["visqol_mos"].between(1, 5).all()


def test_evaluations_are_kept(finished: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("evaluated again")

    monkeypatch.setattr("components.quality_evaluator.executor.evaluate_trial", never)
    monkeypatch.setattr("components.quality_evaluator.executor.measure_baseline", never)
    inputs = {**finished.outputs["FeatureExtractor"], **finished.outputs["SweepPlanner"]}
    again = finished.bench.run("QualityEvaluator", {**inputs, **finished.outputs["TfjsExporter"]})["report"]
    before, after = finished.folder("QualityEvaluator", "report"), pathlib.Path(again.uri)
    assert _files(before) == _files(after)


def _files(folder: pathlib.Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_the_selection_says_what_it_chose(finished: Finished) -> None:
    folder = finished.folder("ModelSelector", "selection")
    tables = SweepTables.load(folder)
    chosen = json.loads(finished.outputs["ModelSelector"]["selection"].get_string_custom_property("chosen"))
    assert chosen == {"reed": tables.verdicts["reed"].chosen}
    assert finished.outputs["ModelSelector"]["blessing"].get_int_custom_property("blessed") == 1
    assert (finished.folder("ModelSelector", "blessing") / "BLESSED").is_file()
    assert {clip.role for clip in tables.audio} >= {"original", "best", "chosen"}
    page = (folder / "report.html").read_text()
    assert len(page) > 10_000
    assert "Recordings left out (1)" in page
    assert "reed/notes.wav" in page


def test_the_chosen_model_is_pushed_with_its_card(finished: Finished) -> None:
    chosen = SweepTables.load(finished.folder("ModelSelector", "selection")).verdicts["reed"].chosen
    published = json.loads((finished.folder("ModelPusher", "pushed") / "published.json").read_text())
    version = pathlib.Path(published["reed"])
    assert chosen == "-".join([validate_bundle(version).trial_id, validate_bundle(version).quantisation])
    card = (version / "card.md").read_text()
    for recording in RecordingSet.load(finished.folder("RecordingExampleGen", "recordings")).accepted():
        assert recording.recording_id in card
    assert len(list((version / "samples").glob("*.flac"))) >= 2


def test_the_artifact_holds_what_was_pushed_and_the_report(finished: Finished) -> None:
    pushed, selection = finished.folder("ModelPusher", "pushed"), finished.folder("ModelSelector", "selection")
    version = pathlib.Path(json.loads((pushed / "published.json").read_text())["reed"])
    [copy] = (pushed / "models" / "reed").iterdir()
    assert _files(copy) == _files(version)
    assert (pushed / "report.html").read_bytes() == (selection / "report.html").read_bytes()


def test_what_is_not_blessed_is_not_pushed(finished: Finished) -> None:
    gates = finished.bench.config.gates.model_copy(update={"absolute_log_spectral_db": 1e-3})
    strict = Bench(finished.bench.folder, finished.bench.config.model_copy(update={"gates": gates}), runs=100)
    selected = strict.run("ModelSelector", judged(finished))
    assert selected["blessing"].get_int_custom_property("blessed") == 0
    inputs = {**selected, **finished.outputs["TfjsExporter"], **finished.outputs["RecordingExampleGen"]}
    pushed = strict.run("ModelPusher", inputs)["pushed"]
    assert json.loads((pathlib.Path(pushed.uri) / "published.json").read_text()) == {}


def test_jobs_come_from_the_environment_or_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(JOBS_VARIABLE, raising=False)
    assert jobs() == len(os.sched_getaffinity(0))
    monkeypatch.setenv(JOBS_VARIABLE, "7")
    assert jobs() == 7


def test_tensorboard_has_every_trial_and_the_finalists_sounds(finished: Finished) -> None:
    boards = finished.bench.folder / "tensorboard"
    plan = SweepPlan.load(finished.folder("SweepPlanner", "plan"))
    finalists = load_survivors(finished.folder("RungPromoter_rung1", "survivors"))
    for trial in plan.trials:
        folder = boards / trial.instrument / trial.trial_id
        assert list(folder.glob("*.rung0")), trial.trial_id
        assert bool(list(folder.glob("*.zevaluation"))) == (trial.trial_id in finalists)
    assert list(boards.glob("*/original/*.sounds"))


def test_every_model_is_validated_and_the_card_says_where(finished: Finished) -> None:
    tables = SweepTables.load(finished.folder("QualityEvaluator", "report"))
    runtime = "browser" if find_chromium() else "node"
    for text in tables.candidates["validation"]:
        found = Validation.model_validate_json(text)
        assert (found.runtime, found.failure) == (runtime, "")
    assert (tables.candidates["real_time_factor"] > 0).all()
    where = {"browser": "Validated in headless Chromium", "node": "**not in a browser**: no Chromium here"}
    cards = list((finished.bench.folder / "models").glob("*/*/card.md"))
    assert cards
    assert all(where[runtime] in card.read_text() for card in cards)


def test_a_model_that_fails_in_a_browser_cannot_be_chosen(finished: Finished) -> None:
    plan = SweepPlan.load(finished.folder("SweepPlanner", "plan"))
    models = load_models(finished.folder("TfjsExporter", "models"))
    evaluations = {model.candidate_id: Evaluation([], 0.0) for model in models}
    tables = sweep_tables(
        plan,
        store=TrialStore(finished.bench.folder / "trials"),
        models=models,
        failures=[],
        evaluations=evaluations,
        baselines={},
        validated={models[0].candidate_id: Validation(runtime="browser", failure="it is silent")},
    )
    first, *others = tables.candidates.itertuples()
    assert (first.status, first.reason) == ("failed", "in a browser: it is silent")
    assert {other.status for other in others} == {"evaluated"}


def test_what_node_found_is_kept_until_there_is_a_browser(
    finished: Finished, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundles = finished.folder("TfjsExporter", "models")
    models = load_models(bundles)[:1]

    def run() -> tuple[str, list[pathlib.Path]]:
        (found,) = validations(models, bundles=bundles, cache=tmp_path / "cache", code_version="0").values()
        assert (found.runtime, found.failure) == ("node", "")
        return found.why_not_browser, sorted((tmp_path / "cache").iterdir())

    monkeypatch.setenv("CHROMIUM", "/nowhere")
    why, kept = run()
    assert "cannot be started" in why
    assert kept == [], "a browser that failed may not fail the next time"
    monkeypatch.delenv("CHROMIUM")
    monkeypatch.setenv("PATH", str(tmp_path))
    why, kept = run()
    assert "no Chromium here" in why
    before = [path.stat().st_mtime_ns for path in kept]
    assert len(before) == 1
    assert run() == (why, kept)
    assert [path.stat().st_mtime_ns for path in kept] == before
