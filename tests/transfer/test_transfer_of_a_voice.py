"""A voice through a whole transfer: breath, consonants, silence, a range far below the instrument; and long sources."""

from __future__ import annotations

import itertools
import pathlib
import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest
import soundfile

from tinytimbre.decoders import DecoderSpec, build_decoder
from tinytimbre.features.pitch import track_pitch
from tinytimbre.features.statistics import InstrumentStatistics, summarise
from tinytimbre.quality.voice import PHRASE, synthetic_voice
from tinytimbre.transfer.analysis import analyse
from tinytimbre.transfer.file import transfer
from tinytimbre.transfer.model import TransferModel
from tinytimbre.transfer.plan import TransferPlan
from tinytimbre.transfer.rendering import render_plan

RATE, HOP = 16_000, 320
LOW_MIDI, HIGH_MIDI = 67.0, 91.0


@pytest.fixture(scope="module")
def model() -> TransferModel:
    """Random weights, but a flute's range, two octaves above the voice."""
    spec = DecoderSpec(kind="gru", input="loudness", harmonics=20, noise_bands=17, width=8)
    levels = summarise(np.random.default_rng(0).normal(0, 5, 1000))
    statistics = InstrumentStatistics(
        pitch_midi=summarise(np.linspace(LOW_MIDI, HIGH_MIDI, 100)),
        loudness_db=levels,
        rms_energy_db=levels,
        seconds=60,
        voiced_seconds=50,
        takes=3,
    )
    return TransferModel(build_decoder(spec, seed=1), statistics, hop=HOP, sample_rate_hz=RATE)


@pytest.fixture(scope="module")
def played(model: TransferModel, tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    folder = tmp_path_factory.mktemp("voice")
    soundfile.write(folder / "voice.wav", synthetic_voice(sample_rate_hz=RATE), RATE)
    report = transfer(folder / "voice.wav", model=model, output=folder / "played.wav")
    assert report.octave_shift == 2
    assert report.voiced_share == pytest.approx(sum(p.seconds for p in PHRASE if p.kind == "vowel") / 4.95, abs=0.08)
    return soundfile.read(folder / "played.wav", dtype="float32")[0]


def inner(kind: str, *, margin_secs: float) -> Iterator[tuple[int, slice]]:
    """Parts of a kind by index, as samples, without what lies nearer to a border."""
    ends = np.cumsum([0.0, *(part.seconds for part in PHRASE)])
    for index, (first, last) in enumerate(itertools.pairwise(ends)):
        if PHRASE[index].kind == kind and last - first > 2 * margin_secs:
            yield index, slice(round((first + margin_secs) * RATE), round((last - margin_secs) * RATE))


def test_vowels_are_played_in_the_instruments_range(played: np.ndarray) -> None:
    f0_hz, _ = track_pitch(played, sample_rate_hz=RATE, frame_rate_hz=50)
    for index, span in inner("vowel", margin_secs=0.1):
        own = f0_hz[span.start // HOP : span.stop // HOP]
        wanted = np.mean(PHRASE[index].f0_hz) if PHRASE[index].f0_hz[0] != 90 else 127.0  # a glide's middle, in octaves
        octaves = np.log2(np.median(own) / wanted)
        assert octaves == pytest.approx(round(octaves), abs=0.05)  # 60 cents
        assert LOW_MIDI - 12 <= 69 + 12 * np.log2(np.median(own) / 440) <= HIGH_MIDI + 12
        assert np.abs(played[span]).max() > 1e-3


def test_breath_and_silence_are_silent(played: np.ndarray) -> None:
    """Beyond the gate's ramps: lead or hold and half a ramp."""
    quiet = [*inner("breath", margin_secs=0.18), *inner("silence", margin_secs=0.18)]
    assert quiet
    for _, span in quiet:
        assert np.abs(played[span]).max() < 1e-4
    assert np.abs(played[: round(0.5 * RATE)]).max() < 1e-4


def largest_crest(audio: np.ndarray) -> float:
    """Largest sample against the RMS of the 20 ms around it, high up, where harmonics and swells hardly reach."""
    high = np.diff(audio.astype(np.float64), n=4)  # +24 dB an octave
    local = np.sqrt(np.convolve(high**2, np.ones(HOP) / HOP, mode="same"))
    return float(np.max(np.abs(high) / np.maximum(local, 1e-4)))


def test_no_clicks_at_the_borders(played: np.ndarray) -> None:
    # Noise of 5 s has its largest sample at 4.5 sigma; where it starts, half of the 20 ms is empty: times sqrt(2).
    assert largest_crest(played) < 6.5
    spoiled = played.copy()
    spoiled[round(1.5 * RATE)] += np.abs(played).max()
    assert largest_crest(spoiled) > 8  # the measure does see a click


def blocks(seconds: int) -> Iterator[np.ndarray]:
    time = np.arange(RATE) / RATE
    second = (0.2 * np.sin(2 * np.pi * 220 * time)).astype(np.float32)
    return (second for _ in range(seconds))


def peak_bytes_of_analysis(seconds: int) -> int:
    tracemalloc.start()
    analyse(blocks(seconds), peak=0.2, input_kind="loudness", hop=HOP, sample_rate_hz=RATE)
    return _peak()


def peak_bytes_of_rendering(seconds: int, model: TransferModel) -> int:
    frames = seconds * RATE // HOP
    ones = np.ones(frames, np.float32)
    plan = TransferPlan(440 * ones, -20 * ones, ones, 0, 0.0, 1.0, 0.0)
    tracemalloc.start()
    n_samples = sum(len(block) for block in render_plan(plan, model=model, n_samples=frames * HOP))
    assert n_samples == frames * HOP
    return _peak()


def _peak() -> int:
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


@pytest.mark.parametrize("what", ["analysis", "rendering"])
def test_memory_does_not_grow_with_the_length(model: TransferModel, what: str) -> None:
    """Curves of four numbers a frame may stay: a hundredth of the audio. NumPy's arrays are traced."""
    peaks = [
        peak_bytes_of_analysis(seconds) if what == "analysis" else peak_bytes_of_rendering(seconds, model)
        for seconds in (40, 120)
    ]
    more_audio = 80 * RATE * 4
    assert peaks[1] - peaks[0] < 0.1 * more_audio


def test_a_voice_without_vowels_is_no_melody(model: TransferModel, tmp_path: pathlib.Path) -> None:
    from tinytimbre.errors import TinyTimbreError

    parts = [part for part in PHRASE if part.kind != "vowel"]
    soundfile.write(tmp_path / "whisper.wav", synthetic_voice(sample_rate_hz=RATE, parts=parts), RATE)
    with pytest.raises(TinyTimbreError, match="melody"):
        transfer(tmp_path / "whisper.wav", model=model, output=tmp_path / "out.wav")
