"""The runtime in a real browser against Python: decoder, synthesiser, level, transfer, worklet."""

from __future__ import annotations

import numpy as np
import pytest
from browser_bench import SPECS, call, decibels, phrase

from tinytimbre.export.bundle import load_bundle
from tinytimbre.features.loudness import loudness_db, rms_energy_db
from tinytimbre.features.scaling import scale_inputs
from tinytimbre.features.statistics import summarise
from tinytimbre.synthesis import oscillators, synthesise
from tinytimbre.transfer.plan import choose_octaves, fold_notes, match_level, plan_transfer

FRAMES = 150
MODEL_RATE = 16_000


def decoder_inputs(frames: int = FRAMES) -> np.ndarray:
    """Pitch and level like those of a phrase, float32 [frames, 2]."""
    t = np.arange(frames) / 50
    f0_hz = 220 * 2 ** (np.floor(t * 2) / 12 + 0.02 * np.sin(2 * np.pi * 5 * t))
    return scale_inputs(f0_hz, -30 + 15 * np.sin(2 * np.pi * 0.4 * t))


def reference_controls(models, name: str, inputs: np.ndarray) -> np.ndarray:
    return load_bundle(models / name / "0001").decoder(inputs[np.newaxis]).numpy()[0]


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("plain", [False, True], ids=["wasm", "plain"])
def test_controls_are_tensorflows(page, models, name, plain):
    inputs = decoder_inputs()
    controls = call(page, "decode", {"url": f"/models/{name}/0001/", "inputs": inputs.tolist(), "plain": plain})
    # Both sum float32 in their own order; a few roundings of numbers up to 2.
    np.testing.assert_allclose(controls, reference_controls(models, name, inputs), atol=1e-5)


BACKENDS = {
    "cpu": ("cpu", {}, 1e-5),
    "wasm": ("wasm", {}, 1e-5),
    # Shaders divide and raise to powers approximately; with 16-bit textures numbers have eleven bits.
    "webgl": ("webgl", {}, 5e-3),
    "webgl-16bit": ("webgl", {"WEBGL_FORCE_F16_TEXTURES": True}, 5e-3),
}


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("case", BACKENDS)
def test_tensorflow_js_agrees_on_every_backend_and_leaks_nothing(page, models, name, case):
    backend, flags, tolerance = BACKENDS[case]
    inputs = decoder_inputs(40)
    given = {"url": f"/models/{name}/0001/", "inputs": inputs.tolist(), "backend": backend, "flags": flags}
    result = call(page, "decodeByTfjs", given)
    np.testing.assert_allclose(result["controls"], reference_controls(models, name, inputs), atol=tolerance)
    assert result["leaked"] == 0


def synthesis_case(hop: int) -> tuple[np.ndarray, np.ndarray, dict]:
    """Controls and pitches that wander all over the place, and what the engine must be told."""
    rng = np.random.default_rng(0)
    frames = round(1.5 * MODEL_RATE / hop)
    f0_hz = (60 * 2 ** (4 * np.arange(frames) / frames)).astype(np.float32)
    controls = rng.uniform(0, 1, (frames, 126)).astype(np.float32)
    controls[:, 61:] *= 0.02
    settings = {
        "input": "loudness",
        "input_scaling": {"midi_range": 127, "db_range": 80},
        "sample_rate_hz": MODEL_RATE,
        "harmonics": 60,
        "noise_bands": 65,
        "hop": hop,
        "noise_seed": 7,
    }
    return controls, f0_hz, settings


@pytest.mark.parametrize("hop", [320, 64])
@pytest.mark.parametrize("plain", [False, True], ids=["wasm", "plain"])
def test_at_the_models_rate_sound_is_pythons_sample_for_sample(page, hop, plain):
    controls, f0_hz, settings = synthesis_case(hop)
    given = {"settings": settings, "controls": controls.tolist(), "f0": f0_hz.tolist(), "rate": MODEL_RATE}
    audio = np.array(call(page, "synthesise", {**given, "plain": plain}))
    expected = synthesise(
        controls, f0_hz, harmonics=60, noise_bands=65, hop=hop, sample_rate_hz=MODEL_RATE, noise_seed=7
    )[: len(audio)]
    # The last frame's noise is cut where Python flushes its tail.
    whole = slice(0, len(audio) - hop)
    assert decibels(audio[whole] - expected[whole], expected) < -90


def harmonics_at(rate: int, controls: np.ndarray, f0_hz: np.ndarray, *, hop: int, samples: int) -> np.ndarray:
    """The oscillators' definition in float64 at any rate, harmonic by harmonic."""
    frame, share = np.divmod(np.arange(samples) / (hop * rate / MODEL_RATE), 1.0)
    i, f0 = frame.astype(int), f0_hz.astype(np.float64)
    now_hz = f0[i] + (f0[i + 1] - f0[i]) * share
    cycles = np.cumsum(now_hz / rate)
    amplitudes = oscillators.harmonic_amplitudes(
        controls.astype(np.float64), f0_hz, harmonics=60, sample_rate_hz=MODEL_RATE
    )
    rising = 0.5 - 0.5 * np.cos(np.pi * share)
    audio = np.zeros(samples)
    for k in range(1, 61):
        wave = np.where(now_hz * k < MODEL_RATE / 2, np.sin(2 * np.pi * np.mod(cycles * k, 1)), 0)
        audio += wave * (amplitudes[i, k - 1] * (1 - rising) + amplitudes[i + 1, k - 1] * rising)
    return audio


@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_at_other_rates_harmonics_are_those_of_the_definition_in_float64(page, rate):
    controls, f0_hz, settings = synthesis_case(320)
    controls[:, 61:] = 0
    given = {"settings": settings, "controls": controls.tolist(), "f0": f0_hz.tolist(), "rate": rate}
    audio = np.array(call(page, "synthesise", {**given, "plain": False}))
    expected = harmonics_at(rate, controls, f0_hz, hop=320, samples=len(audio))
    assert decibels(audio - expected, expected) < -90


def test_at_another_rate_the_noise_is_pythons_resampled(page):
    import soxr

    controls, f0_hz, settings = synthesis_case(320)
    controls[:, :61] = 0
    given = {"settings": settings, "controls": controls.tolist(), "f0": f0_hz.tolist(), "rate": 48_000}
    audio = np.array(call(page, "synthesise", {**given, "plain": False}))
    python = synthesise(controls, f0_hz, harmonics=60, noise_bands=65, hop=320, sample_rate_hz=MODEL_RATE, noise_seed=7)
    expected = soxr.resample(python.astype(np.float64), MODEL_RATE, 48_000, quality="VHQ")[: len(audio)]
    spectra = [np.fft.rfft(signal[4800:-4800] * np.hanning(len(audio) - 9600)) for signal in (audio, expected)]
    below = np.fft.rfftfreq(len(audio) - 9600, 1 / 48_000) < 7000
    # Up to 7 kHz both resamplers pass everything; above, the windowed sinc of 32 taps begins to fall off.
    error, power = (np.sum(np.abs(s[below]) ** 2) for s in (spectra[0] - spectra[1], spectra[1]))
    assert 10 * np.log10(error / power) < -60


def test_levels_are_those_of_the_features(page):
    samples = phrase(seconds=2, sample_rate_hz=MODEL_RATE) + np.float32(1e-3)
    given = {"url": "/models/cello/0001/", "samples": samples.tolist(), "hop": 320, "rate": MODEL_RATE}
    heard = np.array(call(page, "levels", given))
    # Frame i of the features is centred at 320 i; the ear hears the 512 samples up to now, less two of its filter.
    shifted = np.concatenate([np.zeros(256 + 2, np.float32), samples])
    expected = [f(shifted, sample_rate_hz=MODEL_RATE, frame_rate_hz=50)[1:] for f in (loudness_db, rms_energy_db)]
    n = min(len(heard), len(expected[0]))
    np.testing.assert_allclose(heard[5:n], np.stack(expected, axis=-1)[5:n], atol=0.01)


def test_transfer_decides_as_python_does(page):
    from browser_bench import statistics

    stats = statistics()
    rng = np.random.default_rng(3)
    for center in (30, 41, 55, 62, 80, 97):
        midi = center + rng.normal(0, 3, 400)
        level_db = rng.normal(-28, 4, 400)
        source = summarise(level_db)
        result = call(
            page,
            "transfer",
            {
                "midi": midi.tolist(),
                "target": stats.pitch_midi.model_dump(),
                "levelsDb": level_db.tolist(),
                "source": {"mean": source.mean, "std": source.std, "p05": source.quantiles["p05"]},
                "level": stats.rms_energy_db.model_dump(),
                "notes": [float(center)],
            },
        )
        assert result["octaves"] == choose_octaves(midi, target=stats.pitch_midi)
        held, tones = np.full(5, float(center)), np.ones(5, bool)
        folded = fold_notes(held, tones, target=stats.pitch_midi, frame_rate_hz=50.0)
        assert result["folded"] == [round((folded[0] - center) / 12)]
        expected = match_level(level_db, played=np.ones(400, bool), target=stats.rms_energy_db)
        # The same formula; summaries are rounded to 1e-4.
        np.testing.assert_allclose(result["levels"], expected, atol=1e-3)


@pytest.mark.parametrize("plain", [False, True], ids=["wasm", "plain"])
def test_the_worklet_plays_what_the_voice_plays(page, plain):
    assert page.evaluate("crossOriginIsolated") is False, "a plain static server must do"
    samples = phrase(seconds=2, sample_rate_hz=48_000)
    given = {"url": "/models/clarinet/0001/", "samples": samples.tolist(), "rate": 48_000}
    direct = call(page, "play", {**given, "plain": False})
    assert np.abs(direct["output"]).max() > 1e-3
    played = call(page, "playByWorklet", {**given, "plain": plain})
    np.testing.assert_array_equal(played["output"], direct["output"])
    np.testing.assert_array_equal(played["recorded"], np.floor(32767 * np.array(direct["output"]) + 0.5))  # 16 bits


def test_live_playing_follows_the_offline_plan(page, models):
    """The melody and the level that Python plans with hindsight, from what is heard as it happens."""
    from tinytimbre.transfer.analysis import analyse, survey

    seconds = 4
    samples = phrase(seconds=seconds, sample_rate_hz=MODEL_RATE)
    peak, _ = survey([samples])
    settings = load_bundle(models / "cello" / "0001").settings
    features = analyse([samples], peak=peak, input_kind="loudness", hop=320, sample_rate_hz=MODEL_RATE)
    plan = plan_transfer(features, statistics=settings.statistics, input_kind="loudness", frame_rate_hz=50.0)
    given = {"url": "/models/cello/0001/", "samples": samples.tolist(), "rate": MODEL_RATE, "plain": False}
    frames = call(page, "play", given)["frames"]
    played = {f["samples"] / 320: f["playedMidi"] for f in frames if f["sourceMidi"] is not None}
    # What is heard now is what was played a window's middle ago: 21 ms, one frame.
    planned = 69 + 12 * np.log2(plan.f0_hz / 440)
    pairs = [(midi, planned[int(i) - 1]) for i, midi in played.items() if np.isfinite(midi)]
    assert len(pairs) > 0.8 * seconds * 50 * 0.9
    errors = np.abs([a - b for a, b in pairs])
    assert np.median(errors) < 0.2, "semitones"
    assert np.mean(errors > 1) < 0.05
