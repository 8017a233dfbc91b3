"""A real browser on a real server, and models for it to play."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import pathlib
import threading
import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from tinytimbre.config import SearchConfig, SweepConfig
from tinytimbre.decoders import Decoder, DecoderSpec, build_decoder
from tinytimbre.export.bundle import export_bundle
from tinytimbre.export.settings import DataLicence, make_settings
from tinytimbre.features.statistics import Distribution, InstrumentStatistics
from tinytimbre.synthesis.reverb import Reverb
from tinytimbre.validation.chromium import find_chromium

WEB = pathlib.Path(__file__).resolve().parents[2] / "web"
# Sound may start without a click; tests run as root in containers, where Chromium's sandbox cannot.
ARGUMENTS = ("--no-sandbox", "--autoplay-policy=no-user-gesture-required")
FAKE_MICROPHONE = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")

SPECS = {
    "cello": DecoderSpec(kind="cnn", input="loudness", harmonics=24, noise_bands=17, width=12, depth=3, kernel_size=3),
    "clarinet": DecoderSpec(
        kind="gru", input="rms_energy", harmonics=60, noise_bands=65, width=16, depth=1, kernel_size=3
    ),
}
# Rings for most of a second at all pitches.
ROOM_SPECS = {"organ": SPECS["cello"].model_copy(update={"reverb_bands": 8})}
ROOM = Reverb(levels=(0.5,) * 8, rt60_secs=(0.9,) * 8)


def chromium() -> str:
    """The browser's path; without one the tests fail, for a page nobody opened is not tested."""
    found = find_chromium()
    if found is None:
        pytest.fail("These tests need Chromium: apt-get install chromium, or CHROMIUM=/path/to/it.", pytrace=False)
    return found


def serving() -> types.ModuleType:
    """The page's own server, web/tools/serve.py."""
    path = WEB / "tools" / "serve.py"
    spec = importlib.util.spec_from_file_location("tinytimbre_serve", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextlib.contextmanager
def served(models: pathlib.Path, *, policy: str | None = None) -> Iterator[str]:
    """The address of a running server."""
    serve = serving()
    server = serve.server(models, port=0, policy=policy or serve.POLICY)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://localhost:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def launched(arguments: Sequence[str] = ()) -> Iterator[Any]:
    """A headless Chromium."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        pytest.fail("These tests need Playwright: make install.", pytrace=False)
    executable = chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=[*ARGUMENTS, *arguments])
        try:
            yield browser
        finally:
            browser.close()


def call(page: Any, function: str, arguments: Mapping[str, Any]) -> Any:
    """Calls a function of web/tests/in-page.js in the page."""
    script = "async ([name, given]) => (await import('/tests/in-page.js'))[name](given)"
    return page.evaluate(script, [function, dict(arguments)])


def statistics() -> InstrumentStatistics:
    """Of no instrument in particular: two octaves around middle C."""

    def around(mean: float, std: float) -> Distribution:
        quantiles = {"p05": -1.6, "p25": -0.7, "p50": 0.0, "p75": 0.7, "p95": 1.6}
        return Distribution(
            mean=mean,
            std=std,
            min=mean - 4 * std,
            max=mean + 2 * std,
            quantiles={key: mean + factor * std for key, factor in quantiles.items()},
        )

    return InstrumentStatistics(
        pitch_midi=around(60, 7),
        loudness_db=around(0, 6),
        rms_energy_db=around(-17, 6),
        seconds=60,
        voiced_seconds=50,
        takes=5,
    )


def as_if_trained(spec: DecoderSpec) -> Decoder:
    """A decoder with weights of its own, in `ROOM` where it has one."""
    decoder = build_decoder(spec, seed=1)
    rng = np.random.default_rng(2)
    weights = {k: v + rng.normal(0, 0.1, v.shape).astype("f") for k, v in decoder.get_weights().items()}
    if spec.reverb_bands:
        weights["reverb"] = ROOM.to_weights()
    decoder.set_weights(weights)
    return decoder


def publish(folder: pathlib.Path, specs: Mapping[str, DecoderSpec] = SPECS) -> pathlib.Path:
    """A folder of models as the publisher writes it, with decoders as if trained."""
    index: dict[str, Any] = {"format_version": 1, "instruments": {}}
    for name, spec in specs.items():
        decoder = as_if_trained(spec)
        space = {"decoder": [spec.kind], "input": [spec.input], "harmonics": [24], "noise_bands": [17], "width": [8]}
        settings = make_settings(
            config=SweepConfig(name="browser", search=SearchConfig(space=space)),
            decoder=decoder.spec,
            instrument=name,
            trial_id="t0123",
            statistics=statistics(),
            data=(DataLicence(source="made in the test", licence="CC0-1.0", attribution="nobody"),),
            reverb=decoder.reverb,
        )
        export_bundle(decoder, settings=settings, quantisations=("uint8",), output=folder / name)
        (folder / name / "uint8").rename(folder / name / "0001")
        entry = {"version": "0001", "bytes": sum(p.stat().st_size for p in (folder / name / "0001").iterdir())}
        index["instruments"][name] = {"latest": "0001", "versions": [entry]}
    (folder / "index.json").write_text(json.dumps(index))
    return folder


def phrase(*, seconds: float, sample_rate_hz: int) -> np.ndarray:
    """Two held notes with vibrato, partials falling by 6 dB an octave, a rest between; float32 [n]."""
    t = np.arange(round(seconds * sample_rate_hz)) / sample_rate_hz
    midi = np.where(t < seconds / 2, 57, 64) + 0.25 * np.sin(2 * np.pi * 5 * t)
    cycles = np.cumsum(440 * 2 ** ((midi - 69) / 12)) / sample_rate_hz
    rest = np.abs(t - seconds / 2) < 0.2
    edges = np.clip((np.abs(t - seconds / 2) - 0.2) / 0.03, 0, 1) * np.clip(t / 0.03, 0, 1)
    tone = sum(np.sin(2 * np.pi * k * cycles) / k for k in range(1, 8))
    return np.where(rest, 0, 0.15 * edges * tone).astype(np.float32)


def decibels(error: np.ndarray, reference: np.ndarray) -> float:
    """Largest error relative to the largest value."""
    return float(20 * np.log10(np.abs(error).max() / np.abs(reference).max()))
