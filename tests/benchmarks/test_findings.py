"""From finished sweeps to documents: the command, its marks, its sameness; and the finals of a search."""

from __future__ import annotations

import dataclasses
import json
import pathlib

import numpy as np
import pytest

from benchmarks.finals import QUANTISATIONS, finals, searched
from benchmarks.findings.__main__ import main
from benchmarks.findings.blocks import refreshed, skeleton
from benchmarks.findings.results import instrument_result
from benchmarks.findings.sweeps import Sweep, keep
from benchmarks.references import REFERENCES
from tests.report.synthetic_sweep import sweep_tables
from tinytimbre.config import SearchConfig, SweepConfig, config_from_json
from tinytimbre.errors import TinyTimbreError
from tinytimbre.quality.gates import judge
from tinytimbre.report.tables import candidates_of, metric_means
from tinytimbre.sweep import RungResult, plan_sweep, promote

CONFIG = SweepConfig(name="made", search=SearchConfig(space={"width": [4], "learning_rate": [0.001, 0.002]}))


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    """A made search of two instruments; the largest finalist of the first is as DDSP-VST's is."""
    tables = sweep_tables(tmp_path_factory.mktemp("sounds"), trials=24)
    trials = tables.trials.assign(learning_rate=np.resize([0.001, 0.002], len(tables.trials)), seed=0)
    done = trials[(trials["instrument"] == "flute") & (trials["status"] == "done")]
    largest = done["parameters"].idxmax()
    decoder = REFERENCES[0].decoder
    for name, value in {"decoder": decoder.kind, **decoder.model_dump(exclude={"kind"})}.items():
        trials.loc[largest, name] = value
    export = CONFIG.export.model_copy(update={"quantisations": ("float32", "float16", "uint8")})
    config = CONFIG.model_copy(update={"export": export})
    return Sweep(
        "made", 1, config, {"flute": "f", "violin": "v"}, 5400.0, dataclasses.replace(tables, trials=trials, audio=[])
    )


def test_the_smallest_of_a_quantisation_passes_every_gate_against_the_best(sweep: Sweep) -> None:
    result = instrument_result(sweep, instrument="flute")
    best = sweep.tables.verdicts["flute"].reference
    assert result.best
    assert result.best.candidate_id == best
    for quantisation, model in result.smallest.items():
        if model is None:
            continue
        own = candidates_of(sweep.tables.candidates, instrument="flute")
        pair = [one for one in own if one.candidate_id in (best, model.candidate_id)]
        pair = [one if one.candidate_id != best else one.model_copy(update={"bytes_brotli": 10**9}) for one in pair]
        alone = judge(pair, sweep.tables.clips, gates=sweep.config.gates, seed=0)
        assert model.quantisation == quantisation
        assert alone.chosen == model.candidate_id
    assert any(result.smallest.values())


def test_sizes_stand_beside_the_reference_and_distances_are_paired(sweep: Sweep) -> None:
    result = instrument_result(sweep, instrument="flute")
    beside = {one.name: one for one in result.beside}[REFERENCES[0].name]
    assert beside.model is not None
    assert result.shown is not None
    assert beside.distance is not None
    assert beside.model.quantisation == "float32"
    means = metric_means(sweep.tables.clips)["log_spectral_db"]
    expected = means[result.shown.candidate_id] - means[beside.model.candidate_id]
    assert beside.distance.mean == pytest.approx(expected)
    assert {one.name: one for one in result.beside}[REFERENCES[1].name].model is None
    measured = result.shown.metrics["log_spectral_db"]
    assert measured.mean == pytest.approx(means[result.shown.candidate_id])
    assert measured.low is not None
    assert measured.high is not None
    assert measured.low < measured.mean < measured.high


def test_the_command_writes_between_the_marks_and_the_same_again(sweep: Sweep, tmp_path: pathlib.Path) -> None:
    keep(sweep, tmp_path / "kept")
    readme, output = tmp_path / "README.md", tmp_path / "docs"
    readme.write_text("Mine.\n<!-- findings: results -->\nold\n<!-- /findings -->\nMine too.\n")
    arguments = [str(tmp_path / "kept"), "--output", str(output), "--into", str(readme)]
    assert main(arguments) == 0
    text = readme.read_text()
    assert text.startswith("Mine.\n")
    assert text.endswith("Mine too.\n")
    assert "old" not in text
    assert "| flute |" in text
    assert "| violin |" in text
    document = output / "findings.md"
    document.write_text(document.read_text().replace("## Frame rate\n", "## Frame rate\n\nA person's words.\n"))
    before = {path.name: path.read_bytes() for path in output.iterdir()}
    assert main(arguments) == 0
    assert {path.name: path.read_bytes() for path in output.iterdir()} == before
    assert {"fronts.png", "settings.png", "size.png", "rungs.png"} < set(before)
    record = json.loads((output / "findings.json").read_text())
    assert [one["instrument"] for one in record] == ["flute", "violin"]
    assert "1:30 h" in document.read_text()


def test_marks_that_nothing_is_generated_for_are_an_error() -> None:
    blocks = {"results": "new"}
    blank = skeleton("Title", {"results": "Heading"}, pictures={"results": ("all", "a.png")})
    assert "![all](a.png)\n\n<!-- findings: results -->\nnew\n" in refreshed(blank, blocks, origin="a")
    for text in ("no marks", "<!-- findings: resluts -->\n<!-- /findings -->\n"):
        with pytest.raises(TinyTimbreError, match="marked parts"):
            refreshed(text, blocks, origin="a")


def test_finals_train_every_finalist_with_every_seed_and_lose_nobody(sweep: Sweep) -> None:
    config = finals(sweep, instruments=["flute"], most=None, seeds=3, frame_rate_hz=None)
    assert config_from_json(config.to_json()) == config
    assert config.distillation.enabled
    assert config.export.quantisations == QUANTISATIONS
    plan = plan_sweep(config, fingerprints={"flute": "f"})
    done = sweep.trials("flute").query("status == 'done'")
    specs = [trial.decoder for trial in plan.trials]
    assert all(specs.count(known.decoder) >= 2 for known in REFERENCES), "every learning rate of the search"
    families = {trial.family for trial in plan.trials if trial.decoder not in [known.decoder for known in REFERENCES]}
    assert len(families) == done["configuration"].nunique() - 1, "the one like DDSP-VST's apart"
    for family in families:
        assert sorted(trial.seed for trial in plan.trials if trial.family == family) == [0, 1, 2]
    results = [
        RungResult(trial_id=trial.trial_id, rung=0, step=1, status="done", validation_loss=float(np.log(index + 2)))
        for index, trial in enumerate(plan.trials)
    ]
    assert len(promote(plan, results, budget=config.budget)) == len(plan.trials)


def test_finals_without_references_have_finalists_alone(sweep: Sweep) -> None:
    config = finals(sweep, instruments=["violin"], most=1, seeds=1, frame_rate_hz=100.0, rates=[])
    specs = [trial.decoder for trial in plan_sweep(config, fingerprints={"violin": "f"}).trials]
    assert specs
    assert not {known.decoder for known in REFERENCES} & set(specs)
    assert config.features.frame_rate_hz == 100.0
    assert not config.distillation.enabled, "losses are all that is compared"
    assert config.export == sweep.config.export


def test_finals_keep_the_ids_of_what_the_search_trained(sweep: Sweep) -> None:
    include = [{"decoder": "gru", "input": "loudness", "width": 9, "learning_rate": 0.001, "seed": 0}]
    search = SweepConfig(name="made", search=SearchConfig(space={"width": [9]}, include=include))
    again = finals(sweep, instruments=["flute"], most=1, seeds=1, frame_rate_hz=None, rates=[0.002])
    assert again.search.space["learning_rate"] == [0.002], "of the first reference"
    again = again.model_copy(update={"search": again.search.model_copy(update={"include": tuple(include)})})
    first, second = (plan_sweep(config, fingerprints={"flute": "f"}).trials for config in (search, again))
    assert {trial.trial_id for trial in first} & {trial.trial_id for trial in second}
    assert plan_sweep(search, fingerprints={"flute": "g"}).trials[0].trial_id not in {
        trial.trial_id for trial in second
    }


def test_finals_need_a_search_that_tells_its_learning_rates(sweep: Sweep) -> None:
    ended = dataclasses.replace(sweep, config=sweep.config.model_copy(update={"name": "made-finals"}))
    with pytest.raises(TinyTimbreError, match="the search they are the end of"):
        searched([ended])
    older = dataclasses.replace(sweep.tables, trials=sweep.tables.trials.drop(columns=["learning_rate"]))
    with pytest.raises(TinyTimbreError, match="learning rate"):
        searched([dataclasses.replace(sweep, tables=older)])
    assert searched([sweep, ended]) is sweep
