"""The demonstration page itself: what a visitor sees, hears and is told, at desk and phone width."""

from __future__ import annotations

import contextlib
import json
import pathlib
import shutil
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import soundfile
from browser_bench import phrase, served, serving

DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
SECOND_MS = 1000


@contextlib.contextmanager
def opened(browser: Any, site: str, *, script: str = "", **options: Any) -> Iterator[Any]:
    """The page, ready or not, in a window of its own; whatever it throws fails the test."""
    context = browser.new_context(base_url=site, accept_downloads=True, **options)
    # A busy machine may take its time.
    context.set_default_timeout(90_000)
    page = context.new_page()
    thrown: list[str] = []
    page.on("pageerror", lambda error: thrown.append(str(error)))
    if script:
        page.add_init_script(script)
    page.goto("/")
    try:
        yield page
        assert not thrown
    finally:
        context.close()


def press(page: Any, name: str) -> None:
    page.get_by_role("button", name=name, exact=name.endswith("ecord")).click()


def wait_for_note(page: Any, selector: str, note: str) -> None:
    page.wait_for_function(
        "([selector, note]) => document.querySelector(selector).value.startsWith(note)", arg=[selector, note]
    )


def wait_until_played(page: Any) -> None:
    """Functions, not expressions: the page's policy forbids those."""
    page.wait_for_function("() => document.querySelector('#played-note').value !== '–'")


def said(page: Any) -> str:
    page.wait_for_selector("#alert:not([hidden])")
    return str(page.inner_text("#alert"))


@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
def test_the_melody_is_played_recorded_and_kept(browser, site, viewport, tmp_path):
    with opened(browser, site, viewport=viewport) as page:
        press(page, "A melody")
        wait_until_played(page)
        press(page, "Record")
        page.wait_for_timeout(1.5 * SECOND_MS)
        press(page, "Stop recording")
        with page.expect_download() as download:
            page.get_by_role("link", name="Download WAV").click()
        download.value.save_as(tmp_path / "kept.wav")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing sticks out"
        page.get_by_role("button", name="A melody").click()
        page.wait_for_function("() => document.querySelector('#status').textContent === 'Stopped.'")
    audio, rate = soundfile.read(tmp_path / "kept.wav")
    assert download.value.suggested_filename == "tinytimbre-cello.wav"
    assert len(audio) > rate
    assert 1e-3 < np.abs(audio).max() <= 0.98


def test_instruments_change_while_playing(browser, site):
    with opened(browser, site) as page:
        press(page, "A melody")
        wait_until_played(page)
        page.get_by_role("radio", name="Clarinet").check()
        page.wait_for_function("() => document.querySelector('#facts').textContent.startsWith('Clarinet: GRU')")
        page.evaluate("document.querySelector('#played-note').value = '–'")
        wait_until_played(page)
        assert page.is_hidden("#alert")
        assert "CC0-1.0" in page.inner_text("#credits")


def test_everything_works_by_keyboard_and_has_a_name(browser, site):
    with opened(browser, site) as page:
        page.wait_for_selector("#use-clip:enabled")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.value") == "cello"
        page.keyboard.press("ArrowRight")
        page.wait_for_function("() => document.querySelector('#played-name').textContent === 'Clarinet'")
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.id") == "use-clip"
        page.keyboard.press("Enter")
        wait_until_played(page)
        page.keyboard.press("Space")
        page.wait_for_function("() => document.querySelector('#status').textContent === 'Stopped.'")
        # What changes with every note is not read out; what is said in words is.
        assert (
            page.get_attribute("#source-note", "aria-live") == page.get_attribute("#played-note", "aria-live") == "off"
        )
        assert page.get_attribute("#status", "role") == "status"
        unnamed = page.evaluate(
            "[...document.querySelectorAll('button, input, select, canvas, meter, audio')]"
            ".filter((e) => !(e.labels?.length || e.getAttribute('aria-label') || e.textContent.trim()))"
            ".map((e) => e.id)"
        )
        assert unnamed == []


def test_no_request_leaves_the_origin(browser, site):
    asked: list[str] = []
    with opened(browser, site) as page:
        page.on("request", lambda request: asked.append(request.url))
        page.reload()
        press(page, "A melody")
        wait_until_played(page)
    assert asked
    assert [url for url in asked if not url.startswith((site, "blob:", "data:"))] == []


def test_the_policy_of_the_page_is_that_of_the_server():
    serve = serving()
    text = (serve.WEB / "index.html").read_text()
    assert serve.POLICY.removesuffix("; frame-ancestors 'none'") in text
    assert "unsafe-inline" not in text
    assert "'unsafe-eval'" not in text


@pytest.mark.parametrize("way", ["no SIMD", "policy"])
def test_plain_javascript_plays_where_webassembly_may_not(browser, models, way):
    policy = serving().POLICY.replace(" 'wasm-unsafe-eval'", "") if way == "policy" else None
    script = "WebAssembly.compile = () => Promise.reject(new WebAssembly.CompileError('no SIMD'))"
    with (
        served(models, policy=policy) as address,
        opened(browser, address, script=script if way == "no SIMD" else "") as page,
    ):
        press(page, "A melody")
        wait_until_played(page)
        assert "plain JavaScript" in page.inner_text("#runtime")


def test_a_browser_without_worklets_is_told(browser, site):
    with opened(browser, site, script="delete globalThis.AudioWorkletNode") as page:
        assert "current Firefox, Chrome, Edge or Safari" in said(page)
        assert page.is_disabled("#use-clip")


NO_SOUND = """
AudioContext.prototype.resume = () => new Promise(() => {});
Object.defineProperty(BaseAudioContext.prototype, 'state', { get: () => 'suspended' });
"""


def test_a_system_without_sound_is_explained(browser, site):
    with opened(browser, site, script=NO_SOUND) as page:
        press(page, "A melody")
        assert "check the sound output" in said(page)
        assert page.get_attribute("#use-clip", "aria-pressed") == "false"


def test_a_refused_microphone_is_explained(browser, site):
    with opened(browser, site) as page:
        press(page, "Your voice")
        text = said(page)
        assert "Singing needs the microphone" in text
        assert "allow the microphone" in text or "plug one in" in text
        press(page, "A melody")
        wait_until_played(page)
        assert page.is_hidden("#alert"), "the next thing that works takes the message away"


def damage_truncate(folder: pathlib.Path) -> None:
    weights = folder / "weights.bin"
    weights.write_bytes(weights.read_bytes()[:-7])


def damage_one_weight(folder: pathlib.Path) -> None:
    weights = folder / "weights.bin"
    weights.write_bytes(weights.read_bytes()[:-1] + bytes([weights.read_bytes()[-1] ^ 1]))


def damage_version(folder: pathlib.Path) -> None:
    settings = json.loads((folder / "settings.json").read_text())
    (folder / "settings.json").write_text(json.dumps({**settings, "format_version": 99}))


def damage_settings(folder: pathlib.Path) -> None:
    (folder / "settings.json").unlink()


def damage_statistics(folder: pathlib.Path) -> None:
    settings = json.loads((folder / "settings.json").read_text())
    settings["statistics"]["pitch_midi"]["quantiles"]["p05"] = None
    (folder / "settings.json").write_text(json.dumps(settings))


def damage_graph(folder: pathlib.Path) -> None:
    text = (folder / "model.json").read_text()
    (folder / "model.json").write_text(text.replace('"Tanh"', '"Erf"').replace('"Relu"', '"Erf"'))


def damage_json(folder: pathlib.Path) -> None:
    text = (folder / "model.json").read_text()
    (folder / "model.json").write_text(text[: len(text) // 2])


DAMAGES = {
    damage_truncate: "weights.bin",
    damage_one_weight: "checksum",
    damage_version: "99",
    damage_settings: "settings.json",
    damage_statistics: "p05",
    damage_graph: "",
    damage_json: "model.json",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_model_is_explained_and_another_plays(browser, models, tmp_path, damage):
    copy = shutil.copytree(models, tmp_path / "models")
    damage(copy / "cello" / "0001")
    with served(copy) as address, opened(browser, address) as page:
        text = said(page)
        assert DAMAGES[damage] in text
        assert "Way out" in text
        page.get_by_role("radio", name="Clarinet").check()
        press(page, "A melody")
        wait_until_played(page)
        assert page.is_hidden("#alert")


def test_a_missing_engine_is_explained(browser, site):
    with opened(browser, site) as page:
        page.route("**/engine.wasm", lambda route: route.abort())
        press(page, "A melody")
        assert "engine.wasm" in said(page)
        page.unroute("**/engine.wasm")
        press(page, "A melody")
        wait_until_played(page)


def test_no_models_is_explained(browser, tmp_path):
    with served(tmp_path) as address, opened(browser, address) as page:
        assert "make demo" in said(page)
        assert page.is_disabled("#use-clip")


def write_wav(path: pathlib.Path, audio: np.ndarray, rate: int) -> pathlib.Path:
    soundfile.write(path, audio, rate, subtype="PCM_16")
    return path


@pytest.mark.parametrize("rate", [22_050, 96_000])
def test_a_file_of_any_rate_is_played(browser, site, tmp_path, rate):
    path = write_wav(tmp_path / "song.wav", phrase(seconds=6, sample_rate_hz=rate), rate)
    with opened(browser, site) as page:
        page.wait_for_selector("#use-file:enabled")
        page.set_input_files("#file", path)
        wait_for_note(page, "#source-note", "A3")
        wait_for_note(page, "#source-note", "E4")


def test_the_sample_rate_may_change_in_the_middle(browser, site, tmp_path):
    low, high = (
        write_wav(tmp_path / f"{rate}.wav", phrase(seconds=6, sample_rate_hz=rate), rate) for rate in (8_000, 96_000)
    )
    with opened(browser, site) as page:
        page.wait_for_selector("#use-file:enabled")
        page.set_input_files("#file", low)
        wait_for_note(page, "#source-note", "A3")
        press(page, "Record")
        page.set_input_files("#file", high)
        wait_for_note(page, "#source-note", "E4")
        press(page, "Stop recording")
        with page.expect_download() as download:
            page.get_by_role("link", name="Download WAV").click()
        download.value.save_as(tmp_path / "kept.wav")
        assert page.is_hidden("#alert")
    audio, _ = soundfile.read(tmp_path / "kept.wav")
    assert 1e-3 < np.abs(audio).max() <= 0.98


def test_half_an_hour_plays_without_being_held_in_memory(browser, site, tmp_path):
    rate, minute = 8000, phrase(seconds=60, sample_rate_hz=8000)
    path = write_wav(tmp_path / "long.wav", np.tile(minute, 30), rate)
    with opened(browser, site) as page:
        page.wait_for_selector("#use-file:enabled")
        before = page.evaluate("performance.memory.usedJSHeapSize")
        page.set_input_files("#file", path)
        wait_for_note(page, "#source-note", "A3")
        page.wait_for_timeout(2 * SECOND_MS)
        # Decoded, the file would be 346 MB at 48 kHz; the page holds pictures and a few frames.
        assert page.evaluate("performance.memory.usedJSHeapSize") - before < 20e6


def test_a_file_that_is_no_audio_is_explained(browser, site, tmp_path):
    path = tmp_path / "letter.wav"
    path.write_text("Dear reader")
    with opened(browser, site) as page:
        page.wait_for_selector("#use-file:enabled")
        page.set_input_files("#file", path)
        assert "letter.wav" in said(page)
