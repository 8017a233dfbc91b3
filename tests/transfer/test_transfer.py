"""Whole transfers with a real decoder of random weights: the sound is odd, everything else must be right."""

from __future__ import annotations

import dataclasses
import pathlib
import tempfile
from typing import Any

import numpy as np
import pytest
import soundfile
from scipy.signal import fftconvolve

from tinytimbre.decoders import DecoderSpec, build_decoder
from tinytimbre.errors import TinyTimbreError
from tinytimbre.features.pitch import track_pitch
from tinytimbre.features.statistics import InstrumentStatistics, summarise
from tinytimbre.synthesis.reverb import impulse_response
from tinytimbre.transfer.analysis import SourceFeatures
from tinytimbre.transfer.file import transfer, transfer_file
from tinytimbre.transfer.model import DecoderStream, TransferModel
from tinytimbre.transfer.plan import TransferPlan, plan_transfer
from tinytimbre.transfer.rendering import CEILING, limit, render_plan

RATE = 16_000
HOP = 320


@pytest.fixture(scope="module", params=["gru", "cnn"])
def model(request: pytest.FixtureRequest) -> TransferModel:
    return made_model(kind=request.param)


@pytest.fixture(scope="module")
def roomy() -> TransferModel:
    made = made_model(kind="cnn", reverb_bands=6)
    weights = made.decoder.get_weights()
    made.decoder.set_weights({**weights, "reverb": weights["reverb"] + np.float32(0.2)})
    return made


def made_model(**choices: Any) -> TransferModel:
    spec = DecoderSpec(input="loudness", harmonics=20, noise_bands=17, width=8, depth=2, **choices)
    levels = summarise(np.random.default_rng(0).normal(0, 5, 1000))
    statistics = InstrumentStatistics(
        pitch_midi=summarise(np.linspace(67, 91, 100)),
        loudness_db=levels,
        rms_energy_db=levels,
        seconds=60,
        voiced_seconds=50,
        takes=3,
    )
    return TransferModel(build_decoder(spec, seed=1), statistics, hop=HOP, sample_rate_hz=RATE)


def hummed(tmp_path: pathlib.Path) -> pathlib.Path:
    """One second of breath noise, a low tone with vibrato, silence, a fifth above; 44.1 kHz."""
    rate = 44_100
    seconds = np.arange(rate) / rate
    noise = 0.01 * np.random.default_rng(0).standard_normal(rate)

    def tone(f0_hz: float) -> np.ndarray:
        cycles = np.cumsum(f0_hz * 2 ** (0.02 * np.sin(2 * np.pi * 5 * seconds))) / rate
        return 0.1 * sum(np.sin(2 * np.pi * k * cycles) / k for k in range(1, 11))

    path = tmp_path / "hummed.wav"
    soundfile.write(path, np.concatenate([noise, tone(110.0), np.zeros(rate), tone(165.0)]), rate)
    return path


def make_plan(model: TransferModel, *, frames: int = 157) -> TransferPlan:
    rng = np.random.default_rng(4)
    level = rng.normal(-10, 5, frames).astype(np.float32)
    confidence = np.where((np.arange(frames) // 25) % 3 == 2, 0.1, 0.95).astype(np.float32)
    f0_hz = np.float32(300) * 2 ** np.cumsum(rng.normal(0, 0.01, frames)).astype(np.float32)
    features = SourceFeatures(f0_hz, confidence, level, level, frames * HOP)
    return plan_transfer(features, statistics=model.statistics, input_kind="loudness", frame_rate_hz=RATE / HOP)


def test_file_to_file(model: TransferModel, tmp_path: pathlib.Path) -> None:
    output = tmp_path / "played.wav"
    report = transfer(hummed(tmp_path), model=model, output=output)
    audio, rate = soundfile.read(output, dtype="float32")
    assert rate == report.sample_rate_hz == RATE
    assert len(audio) == pytest.approx(4 * RATE, abs=2)  # the resampler may round either way
    assert report.seconds == pytest.approx(4, abs=0.01)
    assert report.octave_shift == 2
    assert report.voiced_share == pytest.approx(0.5, abs=0.05)
    assert report.peak == pytest.approx(float(np.abs(audio).max()), abs=1e-4)
    assert 0.001 < report.peak <= CEILING
    # Breath and silence are faded out, the tones are there, two octaves up.
    assert np.abs(audio[: RATE // 2]).max() == 0
    assert np.abs(audio[round(2.3 * RATE) : round(2.7 * RATE)]).max() == 0
    f0_hz, _ = track_pitch(audio[round(1.3 * RATE) : round(1.8 * RATE)], sample_rate_hz=RATE, frame_rate_hz=50)
    assert abs(1200 * np.log2(np.median(f0_hz) / 440.0)) < 50
    assert [path.name for path in tmp_path.glob(".*")] == []


@pytest.mark.parametrize("room", [False, True])
def test_block_size_does_not_show(model: TransferModel, roomy: TransferModel, room: bool) -> None:
    model = roomy if room else model
    plan = make_plan(model)
    n_samples = len(plan.f0_hz) * HOP
    whole, small, odd = (
        np.concatenate(list(render_plan(plan, model=model, n_samples=n_samples, block_frames=size)))
        for size in (1000, 1, 37)
    )
    assert len(whole) == len(small) == len(odd) == n_samples
    # The decoder's loop is the same frame by frame; the synthesiser's float64 phase sums round differently per
    # block, some 1e-12 of a cycle; float32 output adds 6e-8.
    np.testing.assert_allclose(small, whole, atol=1e-5)
    np.testing.assert_allclose(odd, whole, atol=1e-5)


def test_a_room_rings_on_after_the_fades(roomy: TransferModel) -> None:
    """Sound faded out as without a room, then convolved as SciPy does it, with the room that the decoder has."""
    plan = make_plan(roomy)
    n_samples = len(plan.f0_hz) * HOP
    dry_model = dataclasses.replace(roomy, decoder=build_decoder(roomy.decoder.spec.without_reverb()))
    weights = roomy.decoder.get_weights()
    dry_model.decoder.set_weights({name: value for name, value in weights.items() if name != "reverb"})
    dry = np.concatenate(list(render_plan(plan, model=dry_model, n_samples=n_samples)))
    wet = np.concatenate(list(render_plan(plan, model=roomy, n_samples=n_samples)))
    reverb = roomy.decoder.reverb
    assert reverb is not None
    expected = fftconvolve(dry, impulse_response(reverb, sample_rate_hz=RATE))[:n_samples]
    assert np.abs(expected).max() < 0.8, "the limiter must not bend the comparison"
    # float32 blocks in, float32 blocks out.
    np.testing.assert_allclose(wet, expected, atol=1e-6)
    # The gain falls to a frame and rises from it.
    silent = np.repeat((plan.gain == 0) & (np.append(plan.gain[1:], 0) == 0), HOP)
    assert silent.any()
    assert not dry[silent].any()
    assert np.abs(wet[silent]).max() > 1e-2 * np.abs(wet).max()


def test_no_clicks(model: TransferModel) -> None:
    plan = make_plan(model)
    audio = np.concatenate(list(render_plan(plan, model=model, n_samples=len(plan.f0_hz) * HOP)))
    assert np.isfinite(audio).all()
    # A click is a step between samples that stands out from the steps around it. At block and gate edges the
    # largest step must be no larger than within the steady tone; the gain only ever makes it smaller.
    ungated = TransferPlan(**{**vars(plan), "gain": np.ones_like(plan.gain)})
    free = np.concatenate(list(render_plan(ungated, model=model, n_samples=len(plan.f0_hz) * HOP)))
    ramp_step = np.abs(free).max() * np.abs(np.diff(plan.gain)).max() / HOP
    assert np.abs(np.diff(audio)).max() <= np.abs(np.diff(free)).max() + ramp_step + 1e-6


def test_decoder_stream_equals_the_whole_sequence(model: TransferModel) -> None:
    inputs = np.random.default_rng(0).uniform(0.3, 0.8, (40, 2)).astype(np.float32)
    stream = DecoderStream(model.decoder)
    pieces = np.concatenate([stream.decode(inputs[:7]), stream.decode(inputs[7:7]), stream.decode(inputs[7:])])
    # The same float32 sums in another order.
    np.testing.assert_allclose(pieces, model.decoder(inputs[np.newaxis])[0].numpy(), atol=1e-5)


def test_limiter_is_clear_below_the_knee_and_bounded_above() -> None:
    ramp = np.linspace(-5, 5, 10_001).astype(np.float32)
    limited = limit(ramp)
    inside = np.abs(ramp) <= 0.8
    np.testing.assert_array_equal(limited[inside], ramp[inside])
    assert np.abs(limited).max() <= CEILING
    assert (np.diff(limited) >= 0).all()


def test_unusable_output_is_refused_before_any_work(tmp_path: pathlib.Path) -> None:
    source = hummed(tmp_path)
    for output, words in (
        (tmp_path / "x.mp3", r"\.wav or \.flac"),
        (tmp_path / "no" / "x.wav", "folder"),
        (source, "not be the source"),
    ):
        with pytest.raises(TinyTimbreError, match=words):
            transfer_file(source, model_dir=tmp_path / "none", output=output)


def test_a_stream_makes_no_temporary_files(
    model: TransferModel, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AutoGraph would write the source of what it converts, and leave it there when the process is killed."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    DecoderStream(model.decoder).decode(np.zeros((3, 2), np.float32))
    assert list(tmp_path.iterdir()) == []


def test_silence_leaves_no_file(model: TransferModel, tmp_path: pathlib.Path) -> None:
    soundfile.write(tmp_path / "silence.wav", np.zeros(RATE), RATE)
    with pytest.raises(TinyTimbreError, match="audible"):
        transfer(tmp_path / "silence.wav", model=model, output=tmp_path / "out.flac")
    assert not (tmp_path / "out.flac").exists()


@pytest.mark.parametrize("room", [False, True])
def test_published_model_plays_like_the_decoder_it_came_from(
    model: TransferModel, roomy: TransferModel, room: bool, tmp_path: pathlib.Path
) -> None:
    model = roomy if room else model
    from tinytimbre.config import SweepConfig
    from tinytimbre.export.bundle import export_bundle
    from tinytimbre.export.settings import make_settings

    config = SweepConfig.model_validate({"name": "test", "search": {"space": {}}})
    settings = make_settings(
        config=config,
        decoder=model.decoder.spec,
        instrument="violin",
        trial_id="t",
        statistics=model.statistics,
        reverb=model.decoder.reverb,
    )
    (bundle,) = export_bundle(model.decoder, settings=settings, quantisations=("float32",), output=tmp_path / "model")
    source = hummed(tmp_path)
    loaded = transfer_file(source, model_dir=bundle.path, output=tmp_path / "loaded.flac")
    direct = transfer(source, model=model, output=tmp_path / "direct.flac")
    assert loaded == direct
    np.testing.assert_array_equal(
        soundfile.read(tmp_path / "loaded.flac")[0], soundfile.read(tmp_path / "direct.flac")[0]
    )


def test_no_model_there(tmp_path: pathlib.Path) -> None:
    with pytest.raises(TinyTimbreError, match=r"settings\.json"):
        transfer_file(hummed(tmp_path), model_dir=tmp_path / "none", output=tmp_path / "x.wav")
