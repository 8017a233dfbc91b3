"""Effects, pairs and sizes found in sweeps whose truth is known, and silence where there is nothing to find."""

from __future__ import annotations

import dataclasses
import pathlib

import numpy as np
import pandas as pd
import pytest

from benchmarks.findings.breaks import break_words, size_steps
from benchmarks.findings.effects import effects_at
from benchmarks.findings.pairs import best_of_each, difference, frame_rate_effects, quantisation_costs
from benchmarks.findings.sweeps import Sweep, configurations
from tests.report.synthetic_sweep import sweep_tables
from tinytimbre.config import SearchConfig, SweepConfig
from tinytimbre.report.tables import SweepTables

CONFIG = SweepConfig(name="made", search=SearchConfig(space={"width": [4]}))


def made(tables: SweepTables, *, origin: str = "made", config: SweepConfig = CONFIG) -> Sweep:
    return Sweep(origin, 1, config, dict.fromkeys(tables.instruments, "f"), 60.0, tables)


def known_sweep(*, trials: int, seed: int, gru_better: float = 0.0, gone_astray: int = 0) -> Sweep:
    """Losses that follow from size, decoder and noise of 2 %; `gone_astray` of them are three times as high."""
    generator = np.random.default_rng(seed)
    parameters = np.exp(generator.uniform(np.log(1e3), np.log(4e5), trials))
    decoder = generator.choice(["gru", "cnn"], trials)
    log_loss = 2 - 0.03 * np.log(parameters) - gru_better * (decoder == "gru") + generator.normal(0, 0.02, trials)
    log_loss[:gone_astray] += np.log(3)
    ids = [f"t{index}" for index in range(trials)]
    table = pd.DataFrame(
        {
            "trial_id": ids, "instrument": "flute", "status": "stopped", "reason": "", "rung": 0, "steps": 100,
            "stratum": 0, "decoder": decoder, "input": generator.choice(["loudness", "rms_energy"], trials),
            "harmonics": generator.choice([20, 60], trials), "noise_bands": 65, "width": np.arange(trials), "depth": 0,
            "kernel_size": 3, "reverb_bands": 0, "parameters": parameters.astype(int), "decoder_mflops": 1.0,
            "validation_loss": np.exp(log_loss), "train_seconds": 1.0, "distillation": "", "teacher_id": "",
            "twin_id": "",
        }
    )  # fmt: skip
    curves = pd.DataFrame(
        {"trial_id": ids, "step": 100, "train_loss": np.exp(log_loss), "validation_loss": np.exp(log_loss)}
    )
    empty = sweep_tables_of_nothing()
    return made(dataclasses.replace(empty, trials=table, curves=curves))


def sweep_tables_of_nothing() -> SweepTables:
    from tinytimbre.report.tables import empty_table

    return SweepTables(*(empty_table(name) for name in ("trials", "candidates", "clips", "curves")), {}, [])


def test_an_effect_is_found_in_spite_of_trials_that_went_astray() -> None:
    sweep = known_sweep(trials=200, seed=0, gru_better=0.02, gone_astray=12)
    found = {effect.setting: effect for effect in effects_at(sweep, sweep.trials("flute"), step=100)}
    assert found["decoder"].shown
    assert (found["decoder"].value, found["decoder"].against) == ("GRU", "CNN")
    # Noise of 2 % over two hundred trials leaves a standard error of 0.35 %; three of them.
    assert found["decoder"].estimate == pytest.approx(-2.0, abs=1.05)
    assert not found["input"].shown
    assert "not shown" in found["input"].words()
    assert "noise_bands" not in found


def test_where_nothing_differs_hardly_ever_something_is_shown() -> None:
    shown = 0
    for seed in range(40):
        sweep = known_sweep(trials=60, seed=seed, gone_astray=3)
        shown += any(effect.shown for effect in effects_at(sweep, sweep.trials("flute"), step=100))
    # 5 % are allowed, for all contrasts of a sweep together: above 6 of 40 with a chance of 1.4 %, were it so.
    assert shown <= 6


def test_with_few_trials_nothing_is_said() -> None:
    sweep = known_sweep(trials=12, seed=0, gru_better=0.5)
    assert all(effect.estimate is None for effect in effects_at(sweep, sweep.trials("flute"), step=100))


def test_seeds_of_one_configuration_count_once() -> None:
    sweep = known_sweep(trials=60, seed=0)
    again = sweep.tables.trials.assign(trial_id=lambda table: table["trial_id"] + "b")
    curves = sweep.tables.curves.assign(trial_id=lambda table: table["trial_id"] + "b")
    tables = dataclasses.replace(
        sweep.tables,
        trials=pd.concat([sweep.tables.trials, again], ignore_index=True),
        curves=pd.concat([sweep.tables.curves, curves], ignore_index=True),
    )
    twice = made(tables)
    assert effects_at(twice, twice.trials("flute"), step=100) == effects_at(sweep, sweep.trials("flute"), step=100)


def test_a_difference_needs_three_and_says_when_it_does_not_matter() -> None:
    given = {"what": "a against b", "unit": "dB", "over": "takes"}
    assert difference([], **given).words() == "not shown: no takes to compare"
    assert "at least 3" in difference([0.1, 0.2], **given).words()
    assert difference([0.1, 0.11, 0.12, 0.09], **given).shown
    assert difference([0.01, -0.01, 0.02, -0.02], **given, margin=0.35).words().startswith("alike within 0.35 dB")
    assert difference([2.0, -2.0, 1.0, -1.0], **given, margin=0.35).words().startswith("not shown")


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    tables = sweep_tables(tmp_path_factory.mktemp("sounds"), instruments=("flute",), trials=24)
    export = CONFIG.export.model_copy(update={"quantisations": ("float32", "float16", "uint8")})
    return made(tables, config=CONFIG.model_copy(update={"export": export}))


def test_what_a_quantisation_costs(judged: Sweep) -> None:
    costs = {cost.what: cost for cost in quantisation_costs(judged, instrument="flute")}
    # The made sweep adds 0.3 dB to eight bits, and noise of 0.08 dB a take.
    assert costs["uint8 against float32"].mean == pytest.approx(0.3, abs=0.05)
    assert costs["uint8 against float32"].shown
    assert abs(costs["float16 against float32"].mean or 0) < 0.05
    assert costs["uint8 against float32"].n == len(set(judged.tables.candidates["trial_id"]))


def test_large_models_hold_and_small_ones_break(judged: Sweep) -> None:
    steps = size_steps(judged, instrument="flute")
    assert [step.n_bytes for step in steps] == sorted(step.n_bytes for step in steps)
    # Distance grows as 4 dB / sqrt(parameters / 300): by more than the margin below some ten thousand.
    assert steps[0].judgement == "beyond a margin"
    assert steps[0].worse_db > 0.35
    words = break_words(steps)
    assert "within every margin: " in words
    assert break_words([]) == "not shown: too few test takes, or no verdict"


def test_the_best_of_each_kind_are_compared_on_test(judged: Sweep) -> None:
    [decoder, level] = best_of_each(judged, instrument="flute")
    assert decoder.what.startswith("best with decoder GRU")
    assert level.n == 12
    clips, plain = judged.tables.clips, judged.tables.candidates
    plain = plain[plain["quantisation"] == "float32"].merge(
        judged.tables.trials[["trial_id", "decoder"]], on="trial_id"
    )
    means = clips.groupby(["split", "candidate_id"])["log_spectral_db"].mean()
    best = {
        kind: min(own["candidate_id"], key=lambda one: means["validation", one])
        for kind, own in plain.groupby("decoder")
    }
    assert decoder.mean == pytest.approx(means["test", best["gru"]] - means["test", best["cnn"]])


def test_frame_rates_are_compared_configuration_by_configuration(judged: Sweep) -> None:
    slower = judged.tables.trials.assign(
        trial_id=lambda table: table["trial_id"] + "x", validation_loss=lambda table: table["validation_loss"] * 1.1
    )
    features = CONFIG.features.model_copy(update={"frame_rate_hz": 250.0})
    other = made(
        dataclasses.replace(judged.tables, trials=slower), origin="faster",
        config=CONFIG.model_copy(update={"features": features}),
    )  # fmt: skip
    [found] = frame_rate_effects([judged, other], instrument="flute")
    assert found.what == "250 against 50 frames a second, loss"
    # Ten per cent, in logarithms.
    assert found.mean == pytest.approx(100 * np.log(1.1))
    assert found.n == configurations(slower[slower["status"] == "done"]).nunique()
    assert frame_rate_effects([judged], instrument="flute") == []


def test_sweeps_that_are_kept_are_read_back(judged: Sweep, tmp_path: pathlib.Path) -> None:
    from benchmarks.findings.sweeps import keep, read_sweeps

    keep(judged, tmp_path)
    [again] = read_sweeps([tmp_path])
    assert (again.origin, again.config, again.wall_secs) == (judged.origin, judged.config, judged.wall_secs)
    pd.testing.assert_frame_equal(again.tables.clips, judged.tables.clips)
    assert again.tables.verdicts == judged.tables.verdicts
