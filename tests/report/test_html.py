from __future__ import annotations

import base64
import dataclasses
import html.parser
import io
import json
import os
import pathlib
import re
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest
import soundfile
from synthetic_sweep import sweep_tables

from tinytimbre.audio.recording import Recording, RecordingSet, problem
from tinytimbre.errors import TinyTimbreError
from tinytimbre.report import embed
from tinytimbre.report.html import report_page, write_report
from tinytimbre.report.tables import SweepTables, agreements, empty_table
from tinytimbre.sweep.agreement import BIAS

NASTY = "</script><b>&\"'{{data}}"
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")
VOID = {"meta", "link", "img", "input"}


@pytest.fixture(scope="module")
def sweep(tmp_path_factory) -> SweepTables:
    return sweep_tables(
        tmp_path_factory.mktemp("sounds"), instruments=("flute", NASTY), trials=12, takes=5, seconds=0.5
    )


@pytest.fixture(scope="module")
def page(sweep, tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("page") / "deep" / "report.html"
    write_report(sweep, output=path, title="A <title>")
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]
    return path.read_text()


class _Balanced(html.parser.HTMLParser):
    """Fails on a tag that is closed in the wrong order; collects attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        self.links += [value or "" for name, value in attrs if name in {"src", "href"}]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_page_says_how_well_the_rungs_foretold_the_end(page, sweep):
    for found in agreements(sweep):
        if found.instrument == "flute" and found.n:
            assert html.escape(found.words()) in page
    assert page.count(html.escape(BIAS)) == len(sweep.instruments)


def test_page_is_well_formed_and_asks_nothing_of_the_network(page):
    parser = _Balanced()
    parser.feed(page)
    assert parser.open == []
    assert parser.links
    assert all(link.startswith(("data:", "#")) for link in parser.links)
    assert "@import" not in page
    assert not re.search(r"url\(|fetch\(|XMLHttpRequest", page)


def test_names_are_escaped_everywhere(page):
    assert page.count('<b>&"') == 0
    assert page.count("</script>") == 2
    assert "A &lt;title&gt;" in page


def test_verdicts_trials_and_failures_are_there(page, sweep):
    assert sweep.verdicts["flute"].summary in page
    assert all(trial in page for trial in sweep.trials.loc[sweep.trials["instrument"] == "flute", "trial_id"])
    assert page.count("loss became NaN at step 73") == (sweep.trials["status"] == "failed").sum()


def test_data_of_the_plots_is_json(page, sweep):
    data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])
    flute = next(one for one in data["instruments"] if one["instrument"] == "flute")
    assert {point["candidate_id"] for point in flute["points"]} == set(
        sweep.candidates.loc[sweep.candidates["instrument"] == "flute", "candidate_id"]
    )
    assert flute["roles"]["chosen"] == sweep.verdicts["flute"].chosen
    best = sweep.candidates.set_index("candidate_id").loc[flute["roles"]["best"], "log_spectral_db"]
    assert flute["metrics"][0]["limit"] == pytest.approx(best + 0.35, rel=1e-4)
    assert max(len(curve["validation"]) for curve in flute["curves"]) <= 60


def test_missing_trials_evaluations_and_verdicts_are_shown(sweep, tmp_path):
    trials = sweep.trials.copy()
    trials["status"] = trials["status"].astype(object)
    trials.loc[0, ["status", "reason"]] = None
    candidates = sweep.candidates.copy()
    candidates.loc[0, ["log_spectral_db", "f0_cents"]] = np.nan
    candidates.loc[0, "status"] = "failed"
    broken = dataclasses.replace(
        sweep,
        trials=pd.concat([trials, trials.iloc[:1].assign(instrument="harp", trial_id="harp-1")]),
        candidates=candidates,
        curves=empty_table("curves"),
        audio=[],
    )
    write_report(broken, output=tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "no result was found" in page
    assert "harp" in page
    assert "no verdict" in page
    assert "<audio" not in page


def test_recordings_that_were_left_out_are_listed_with_the_reason(sweep):
    assert "Recordings left out" not in report_page(
        sweep, recordings=RecordingSet(recordings=(), sample_rate_hz=16_000)
    )
    found = problem("no-name", TinyTimbreError("an instrument's name needs letters", got="'笛'", remedy="rename <it>"))
    left = Recording(recording_id="0", instrument="unnamed", path="笛/a&b.wav", take_id="0", problems=(found,))
    few = {"oboe": (problem("too-few-takes", TinyTimbreError("at least 3 takes", got="2")),)}
    page = report_page(
        sweep, recordings=RecordingSet(recordings=(left,), sample_rate_hz=16_000, instrument_problems=few)
    )
    assert "Recordings left out (2)" in page
    assert "笛/a&amp;b.wav" in page
    assert "rename &lt;it&gt;" in page
    assert "all of oboe" in page
    assert "at least 3 takes" in page


def test_floor_knee_and_opinion_are_shown(sweep, page, tmp_path):
    assert "The seed-to-seed floor was not measured" in page
    assert "The knee of the front" in page
    assert "ViSQOL (decides nothing)" not in page
    heard = dataclasses.replace(sweep, candidates=sweep.candidates.assign(visqol_mos=4.25), audio=[])
    write_report(heard, output=tmp_path / "report.html")
    assert "ViSQOL (decides nothing)</span><b>4.25</b><small>best model 4.25" in (tmp_path / "report.html").read_text()


def test_sounds_can_be_decoded_again(page):
    sounds = re.findall(r"data:audio/mpeg;base64,([^']+)'", page)
    assert len(sounds) >= 12
    audio, rate = soundfile.read(io.BytesIO(base64.b64decode(sounds[0])))
    assert rate == 16_000
    assert len(audio) == pytest.approx(8_000, abs=2_000)  # MP3 pads to whole frames
    assert np.abs(audio).max() > 0.05


def test_missing_sound_is_named(sweep, tmp_path):
    clip = dataclasses.replace(sweep.audio[0], path=tmp_path / "gone.flac")
    with pytest.raises(TinyTimbreError, match=r"gone\.flac"):
        write_report(dataclasses.replace(sweep, audio=[clip]), output=tmp_path / "report.html")


def test_number_and_length_of_clips_are_limited(sweep, tmp_path):
    write_report(sweep, output=tmp_path / "few.html", max_clips=1, max_clip_secs=0.2)
    write_report(sweep, output=tmp_path / "all.html")
    few, everything = (tmp_path / "few.html").read_text(), (tmp_path / "all.html").read_text()
    assert few.count("<audio") == everything.count("<audio") / 2
    assert len(few) < len(everything)


def test_a_hundred_trials_of_eight_instruments_stay_under_25_megabytes(tmp_path):
    """One of the eight is made, with one of its four recordings of six seconds; nothing is shared between them."""
    tables = sweep_tables(tmp_path, instruments=("flute",), trials=13, takes=12, seconds=6.0)
    sizes = []
    for name, sounds in (("heard", tables.audio), ("silent", [])):
        write_report(dataclasses.replace(tables, audio=sounds), output=tmp_path / name, max_clips=1)
        sizes.append((tmp_path / name).stat().st_size)
    assert 8 * (sizes[1] + 4 * (sizes[0] - sizes[1])) < 25e6


def test_clip_of_another_rate_and_channels_becomes_16_khz_mono(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros((44_100, 2)), 44_100)
    assert embed.read_clip(tmp_path / "a.wav", max_secs=0.5).shape == (8_000,)


def test_same_tables_same_page(sweep, tmp_path):
    for name in ("a", "b"):
        write_report(sweep, output=tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_script_parses(tmp_path):
    node = shutil.which("node") or pathlib.Path(__import__("sys").executable).with_name("node")
    script = pathlib.Path(embed.__file__).with_name("assets") / "report.js"
    done = subprocess.run([node, "--check", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_plots_are_drawn_in_a_browser(page, tmp_path):
    check = "<script>window.addEventListener('error', e => document.title = 'error ' + e.message);</script>"
    (tmp_path / "report.html").write_text(page.replace("<style>", check + "<style>", 1))
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    flags += ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--dump-dom"]
    flags += [f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=3000"]
    done = subprocess.run(
        [CHROMIUM, *flags, (tmp_path / "report.html").as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "<title>error" not in done.stdout
    assert done.stdout.count("<svg") == 4
    assert "best + margin" in done.stdout
