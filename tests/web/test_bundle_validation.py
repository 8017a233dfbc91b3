"""Bundles before they are published: in a real browser, and in Node where that fails, with the reason."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Callable

import pytest
from browser_bench import SPECS, chromium

from tinytimbre.export.bundle import checksum, load_bundle
from tinytimbre.validation import jobs as jobs_module
from tinytimbre.validation.bundles import validate_bundles
from tinytimbre.validation.chromium import BrowserError, visit
from tinytimbre.validation.jobs import TOLERANCES, Validation


def validated(*bundles: pathlib.Path, patience_secs: float = 600) -> list[Validation]:
    found = dict(validate_bundles(bundles, patience_secs=patience_secs))
    return [found[index] for index in range(len(bundles))]


def bundle(models: pathlib.Path, name: str) -> pathlib.Path:
    return models / name / "0001"


@pytest.fixture
def no_browser(monkeypatch, tmp_path):
    """A machine without Chromium."""
    monkeypatch.delenv("CHROMIUM", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))


def stand_in(folder: pathlib.Path, script: str) -> str:
    """An executable that takes the browser's place."""
    path = folder / "chromium"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_a_real_browser_agrees_with_python_dry_and_in_a_room(models, room_models):
    assert chromium()
    folders = [*(bundle(models, name) for name in SPECS), bundle(room_models, "organ")]
    for found in validated(*folders):
        assert (found.runtime, found.why_not_browser, found.failure) == ("browser", "", "")
        assert found.version.startswith("Chromium ")
        # Headless Chromium has WebGL by software.
        assert set(found.tfjs_errors) == set(TOLERANCES)
        # More exact than asked, and not by comparing a thing with itself.
        assert 0 < found.tfjs_errors["wasm"] < TOLERANCES["wasm"]
        assert -200 < found.sound_error_db < -90
        assert found.worklet_error_db < -90
        assert found.real_time_factor > 0
        assert found.load_ms > 0


def test_without_a_browser_node_does_it_and_says_so(models, room_models, no_browser):
    for found in validated(bundle(models, "clarinet"), bundle(room_models, "organ")):
        assert (found.runtime, found.failure) == ("node", "")
        assert "no Chromium here" in found.why_not_browser
        assert found.version.startswith("v")
        assert set(found.tfjs_errors) == {"cpu", "wasm"}
        assert -200 < found.sound_error_db < -90
        assert found.worklet_error_db is None


FAILING = {
    "exit 3": "ended by itself, with 3",
    "exec sleep 600": "said nothing for 0.5 s",
}


@pytest.mark.parametrize("script", FAILING)
def test_a_browser_that_fails_is_no_fault_of_the_model(models, monkeypatch, tmp_path, script):
    monkeypatch.setenv("CHROMIUM", stand_in(tmp_path, script))
    (found,) = validated(bundle(models, "cello"), patience_secs=0.5)
    assert (found.runtime, found.failure) == ("node", "")
    assert FAILING[script] in found.why_not_browser


def test_a_browser_that_cannot_be_started_is_one_that_failed(monkeypatch):
    monkeypatch.setenv("CHROMIUM", "/nowhere/chromium")
    with pytest.raises(BrowserError, match="/nowhere/chromium cannot be started"):
        next(visit("web/page.html", folders={}))


def test_the_browser_ends_with_a_process_that_is_killed(monkeypatch, tmp_path):
    script = f"cd {tmp_path}; echo $$ > new; mv new pid; exec sleep 600"
    monkeypatch.setenv("CHROMIUM", stand_in(tmp_path, script))
    program = "from tinytimbre.validation.chromium import visit; next(visit('web/page.html', folders={}))"
    visitor = subprocess.Popen([sys.executable, "-c", program])
    wait_until((tmp_path / "pid").exists)
    browser = int((tmp_path / "pid").read_text())
    os.kill(browser, 0)
    visitor.kill()
    visitor.wait()
    wait_until(lambda: not running(browser))


def running(pid: int) -> bool:
    """Neither gone nor a zombie that whoever inherited it has not looked at yet."""
    try:
        return "(sleep) Z" not in pathlib.Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


def wait_until(condition: Callable[[], bool]) -> None:
    """The test's own time limit ends it."""
    while not condition():
        time.sleep(0.05)


HALFWAY = """
import json, sys, urllib.request
site = sys.argv[-1].split('/web/')[0]
def tell(message):
    urllib.request.urlopen(urllib.request.Request(site + '/found', json.dumps(message).encode()))
tell({'browser': 'Chrome/1.2'})
assert len(json.load(urllib.request.urlopen(site + '/jobs/jobs.json'))) == 2
tell({'index': 0, 'failure': 'it does not sound'})
"""


def test_what_a_browser_found_before_it_ended_counts(models, monkeypatch, tmp_path):
    (tmp_path / "halfway.py").write_text(HALFWAY)
    monkeypatch.setenv("CHROMIUM", stand_in(tmp_path, f'exec /usr/bin/env python3 {tmp_path / "halfway.py"} "$@"'))
    first, second = validated(bundle(models, "cello"), bundle(models, "clarinet"))
    assert (first.runtime, first.version, first.failure) == ("browser", "Chromium 1.2", "it does not sound")
    assert (second.runtime, second.failure) == ("node", "")
    assert "ended by itself, with 0" in second.why_not_browser


def test_a_model_that_answers_otherwise_than_tensorflow_fails(models, no_browser, monkeypatch):
    bent = load_bundle(bundle(models, "cello"))
    weights = bent.decoder.get_weights()
    bent.decoder.set_weights({**weights, "head_bias": weights["head_bias"] + 1e-3})
    monkeypatch.setattr(jobs_module, "load_bundle", lambda _: bent)
    (found,) = validated(bundle(models, "cello"))
    assert "TensorFlow.js on wasm and TensorFlow differ by 0.00" in found.failure
    assert "the engine and TensorFlow differ" in found.failure


def test_a_model_that_no_runtime_can_load_fails_with_the_reason(models, no_browser, tmp_path):
    copy = shutil.copytree(bundle(models, "cello"), tmp_path / "bent")
    text = (copy / "model.json").read_text()
    assert '"Relu"' in text
    (copy / "model.json").write_text(text.replace('"Relu"', '"Erf"'))
    settings = json.loads((copy / "settings.json").read_text())
    (copy / "settings.json").write_text(json.dumps({**settings, "checksum": checksum(copy)}))
    (found,) = validated(copy)
    assert "Erf" in found.failure
