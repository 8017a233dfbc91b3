"""What a bundle is asked to do, what it should answer, and the verdict."""

from __future__ import annotations

import base64
import dataclasses
import math
import pathlib
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pydantic

from tinytimbre.export.bundle import load_bundle
from tinytimbre.export.settings import BundleSettings, Record, read_settings
from tinytimbre.export.sound import bundle_sound
from tinytimbre.features.scaling import midi_to_hz, scale_inputs
from tinytimbre.synthesis import StreamingReverb
from tinytimbre.synthesis.noise import delay_samples

FRAMES = 100
# Two seconds at 50 frames a second; WebGL by software takes 10 ms a frame.
BACKENDS = {"cpu": FRAMES, "wasm": FRAMES, "webgl": 30}
NEEDED = ("cpu", "wasm")
# Controls lie in [0, 2]. cpu and wasm sum float32 in another order; shaders divide and raise to powers approximately.
TOLERANCES = {"cpu": 1e-5, "wasm": 1e-5, "webgl": 5e-3}
ENGINE_TOLERANCE = 1e-5
SOUND_TOLERANCE_DB = -90.0
LIMIT = 0.98
# Samples that the engine's resampler looks ahead at equal rates (web/assembly/resampler.ts).
RESAMPLER_REACH = 2
QUIETEST_DB = -300.0


class Validation(Record):
    """How a bundle did.

    Attributes:
        runtime: where it ran.
        version: of the browser or of Node.
        why_not_browser: empty for a browser.
        failure: what does not hold; empty where everything does.
        tfjs_errors: largest difference between TensorFlow.js and TensorFlow in any control, by backend.
        missing: why a backend was not there, by backend.
        engine_error: the same for the WebAssembly engine.
        sound_error_db: engine against the float64 reference, largest error to largest sample.
        worklet_error_db: the audio worklet in the page against the engine by itself; None without a page.
        real_time_factor: seconds of computing per second of sound at 48 kHz, on this machine in its state then.
        load_ms: from the first fetch until it could be played, from this machine's own server or disk.
    """

    runtime: Literal["browser", "node"]
    version: str = ""
    why_not_browser: str = ""
    failure: str = ""
    tfjs_errors: dict[str, float] = pydantic.Field(default_factory=dict)
    missing: dict[str, str] = pydantic.Field(default_factory=dict)
    engine_error: float | None = None
    sound_error_db: float | None = None
    worklet_error_db: float | None = None
    real_time_factor: float | None = None
    load_ms: float | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class Job:
    """A melody for one bundle.

    Attributes:
        bundle: its folder.
        f0_hz: float32 [T].
        inputs: float32 [T, 2], scaled.
    """

    bundle: pathlib.Path
    f0_hz: np.ndarray
    inputs: np.ndarray

    def request(self, url: str, *, backends: tuple[str, ...]) -> dict[str, Any]:
        """The job as ``web/validation/checks.js`` takes it."""
        asked = [{"name": name, "frames": BACKENDS[name], "needed": name in NEEDED} for name in backends]
        return {"url": url, "inputs": self.inputs.tolist(), "f0": self.f0_hz.tolist(), "backends": asked}


def make_job(bundle: pathlib.Path) -> Job:
    """Over the pitches and levels that the instrument usually plays, with vibrato and swells."""
    settings = read_settings(bundle)
    pitch = settings.statistics.pitch_midi
    level = settings.statistics.loudness_db if settings.input == "loudness" else settings.statistics.rms_energy_db
    turns = np.arange(FRAMES) / FRAMES
    low, high = pitch.quantiles["p05"], pitch.quantiles["p95"]
    midi = low + (high - low) * (0.5 - 0.5 * np.cos(2 * np.pi * turns)) + 0.2 * np.sin(2 * np.pi * 10 * turns)
    level_db = np.clip(level.mean + 1.5 * level.std * np.sin(2 * np.pi * 3 * turns), -80, level.max)
    f0_hz = midi_to_hz(midi).astype(np.float32)
    return Job(bundle, f0_hz, scale_inputs(f0_hz, level_db))


def judge(job: Job, answer: Mapping[str, Any], *, found: Validation) -> Validation:
    """The verdict on an answer of ``web/validation/checks.js``; ``found`` says where it comes from.

    Raises:
        TinyTimbreError: the bundle is not whole.
    """
    loaded = load_bundle(job.bundle)
    expected = loaded.decoder(job.inputs[np.newaxis]).numpy()[0]
    engine, song = answer["engine"], answer["song"]
    asked = {name: result for name, result in answer["tfjs"].items() if "missing" not in result}
    controls = _unpacked(engine["controls"]).reshape(expected.shape)
    measured = found.model_copy(
        update={
            "tfjs_errors": {name: _error(result["controls"], expected) for name, result in asked.items()},
            "missing": {k: v["missing"] for k, v in answer["tfjs"].items() if "missing" in v},
            "engine_error": _finite(np.abs(controls - expected).max()),
            "sound_error_db": _sound_error_db(controls, _unpacked(engine["audio"]), job=job, settings=loaded.settings),
            "worklet_error_db": _decibels(song["workletError"] or 0, song["peak"] or 0)
            if found.runtime == "browser"
            else None,
            "real_time_factor": song["realTimeFactor"],
            "load_ms": answer["loadMs"],
        }
    )
    leaks = {name: result["leaked"] for name, result in asked.items() if result["leaked"]}
    return measured.model_copy(update={"failure": "; ".join(_failures(measured, song=song, leaks=leaks))})


def _failures(found: Validation, *, song: Mapping[str, Any], leaks: Mapping[str, int]) -> list[str]:
    failures = [
        f"TensorFlow.js on {name} and TensorFlow differ by {error:.2g}, more than {TOLERANCES[name]:g}"
        for name, error in found.tfjs_errors.items()
        if not error <= TOLERANCES[name]
    ]
    failures += [f"TensorFlow.js on {name} leaks {count} tensors" for name, count in leaks.items()]
    if not (found.engine_error or 0.0) <= ENGINE_TOLERANCE:
        failures.append(f"the engine and TensorFlow differ by {found.engine_error:.2g}, more than {ENGINE_TOLERANCE:g}")
    pairs = (
        ("the engine's sound and the reference's", found.sound_error_db),
        ("worklet and engine", found.worklet_error_db),
    )
    failures += [
        f"{pair} differ by {error:.0f} dB, more than {SOUND_TOLERANCE_DB:g}"
        for pair, error in pairs
        if error is not None and not error <= SOUND_TOLERANCE_DB
    ]
    if not song["finite"] or not 0 < (song["peak"] or 0) <= LIMIT + 1e-6:
        failures.append(f"a song comes out with a peak of {song['peak']}")
    return failures


def _sound_error_db(controls: np.ndarray, audio: np.ndarray, *, job: Job, settings: BundleSettings) -> float:
    """From the engine's own controls, so that only the synthesisers are compared; but for the last frame's noise."""
    compared = len(audio) - settings.hop
    expected = reference_sound(controls, job.f0_hz, settings=settings)[:compared]
    return _decibels(float(np.abs(audio[:compared] - expected).max()), float(np.abs(expected).max()))


def reference_sound(controls: np.ndarray, f0_hz: np.ndarray, *, settings: BundleSettings) -> np.ndarray:
    """What Python plays, float32 [samples]; where a filter reaches beyond a frame, the engine's noise comes later."""
    late = max(0, delay_samples(settings.noise_bands) + RESAMPLER_REACH - settings.hop)
    # The room comes after the two have been put together.
    dry_settings, parts = settings.model_copy(update={"reverb": None}), []
    for silenced in (settings.control_layout.noise, settings.control_layout.amplitude):
        own = controls.copy()
        own[:, slice(*silenced)] = 0.0
        parts.append(bundle_sound(own, f0_hz, settings=dry_settings))
    tones, noise = parts
    dry = tones + np.concatenate([np.zeros(late, np.float32), noise])[: len(tones)]
    if settings.reverb is None:
        return dry
    return StreamingReverb(settings.reverb, sample_rate_hz=settings.sample_rate_hz).process(dry)


def _unpacked(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), "<f4")


def _error(text: str, expected: np.ndarray) -> float:
    """Of as many frames as were asked for."""
    controls = _unpacked(text).reshape(-1, expected.shape[1])
    return _finite(np.abs(controls - expected[: len(controls)]).max())


def _finite(value: float) -> float:
    """JSON knows no NaN; nothing is farther off than this."""
    return float(value) if math.isfinite(value) else 1e9


def _decibels(error: float, peak: float) -> float:
    if not math.isfinite(error) or peak <= 0:
        return -QUIETEST_DB
    return 20 * math.log10(error / peak) if error > 0 else QUIETEST_DB
