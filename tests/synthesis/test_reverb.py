"""The room: its numbers mean what they say, SciPy convolves alike, and the program in the documentation agrees."""

from __future__ import annotations

import json
import pathlib
import re
import subprocess

import numpy as np
import pydantic
import pytest
import scipy.signal

from tinytimbre.export.node import node_executable
from tinytimbre.synthesis.reverb import (
    LEVEL_RANGE,
    RT60_RANGE_SECS,
    Reverb,
    StreamingReverb,
    band_noises,
    hashed_noise,
    impulse_response,
    initial_weights,
    reverb_mflops,
)

RATE = 16_000
HALL = Reverb(levels=(0.1, 0.3, 0.5, 0.5, 0.4, 0.2, 0.1), rt60_secs=(1.0, 0.9, 0.8, 0.6, 0.5, 0.3, 0.2))
DOCUMENTATION = pathlib.Path(__file__).parents[2] / "docs" / "reverb.md"


def octave(audio: np.ndarray, *, center_hz: float, rate: int) -> np.ndarray:
    """The octave around a frequency, by a filter steeper than the room's own."""
    edges = (center_hz / 2**0.5, center_hz * 2**0.5)
    return scipy.signal.sosfiltfilt(scipy.signal.butter(4, edges, "bandpass", fs=rate, output="sos"), audio)


def decibels(power: float) -> float:
    return 10 * np.log10(power)


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
@pytest.mark.parametrize("bands", [1, 7, 24])
def test_the_documented_program_makes_the_same_response(tmp_path: pathlib.Path, rate: int, bands: int) -> None:
    rng = np.random.default_rng(bands)
    room = Reverb(levels=tuple(rng.uniform(*LEVEL_RANGE, bands)), rt60_secs=tuple(rng.uniform(*RT60_RANGE_SECS, bands)))
    program = re.search(r"```js\n(.*?)```", DOCUMENTATION.read_text(), flags=re.DOTALL)
    assert program is not None
    script = tmp_path / "room.mjs"
    script.write_text(f"{program[1]}\nconsole.log(`[${{impulseResponse({room.model_dump_json()}, {rate})}}]`);\n")
    done = subprocess.run([node_executable(), script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    ours = impulse_response(room, sample_rate_hz=rate)
    # The same double precision; tan, exp and the filter's sums may round differently, and the narrowest filter's poles
    # lie 1e-3 from the circle, which magnifies 1e-16 some million times at most.
    np.testing.assert_allclose(json.loads(done.stdout), ours, rtol=0, atol=1e-9 * np.abs(ours[1:]).max())


def test_noise_is_murmur_hash_and_white() -> None:
    # MurmurHash3's published test vector: no data and seed 1 give 0x514E28B7, which is the finaliser of 1.
    assert hashed_noise(0, samples=1)[0] == 0x514E28B7 / 2**31 - 1
    streams = np.stack([hashed_noise(stream, samples=16_000) for stream in range(24)])
    assert streams.min() >= -1
    assert streams.max() < 1
    # 24 * 23 / 2 correlations of 16,000 samples, each 0.008 in the root mean square: 5 times that is not reached.
    correlations = np.corrcoef(streams) - np.eye(24)
    assert np.abs(correlations).max() < 0.04
    # Neighbours within a stream, up to 100 samples apart, likewise.
    spectrum = np.abs(np.fft.rfft(streams[0], 32_768)) ** 2
    autocorrelation = np.fft.irfft(spectrum)[:101]
    assert np.abs(autocorrelation[1:]).max() < 0.04 * autocorrelation[0]


def test_bands_are_scipys_butterworth_filters() -> None:
    noises = band_noises(4, sample_rate_hz=RATE)
    edges_hz = np.geomspace(62.5, 8_000, 5)
    edges_hz[-1] = 0.49 * RATE
    for band in range(4):
        white = hashed_noise(band, samples=RATE) * (3 / RATE) ** 0.5
        b, a = scipy.signal.butter(1, edges_hz[band : band + 2], "bandpass", fs=RATE)
        expected = scipy.signal.lfilter(b, a, scipy.signal.lfilter(b, a, white))
        # Double precision; SciPy finds the coefficients through the roots of the polynomials.
        np.testing.assert_allclose(noises[band], expected, atol=1e-10)


def test_bands_above_the_sample_rates_reach_are_silent() -> None:
    noises = band_noises(7, sample_rate_hz=8_000)
    assert not noises[6].any()
    assert all(noise.any() for noise in noises[:6])


@pytest.mark.parametrize("rate", [16_000, 48_000])
@pytest.mark.parametrize("band", [3, 4, 5])
def test_levels_and_decays_are_those_of_the_sound(band: int, rate: int) -> None:
    """Energy and Schroeder's decay curve (1965) in the middle of a band, at both rates."""
    levels, rt60_secs = [1e-3] * 7, [0.05] * 7
    levels[band], rt60_secs[band] = 0.5, 0.4
    room = Reverb(levels=tuple(levels), rt60_secs=tuple(rt60_secs))
    center_hz = 62.5 * 2 ** (band + 0.5)
    response = impulse_response(room, sample_rate_hz=rate)
    late = response.copy()
    late[0] = 0.0
    # A third of an octave in the middle, where the filter is flat; the direct sound's spectrum is 1 everywhere.
    spectrum, hz = np.abs(np.fft.rfft(late)) ** 2, np.fft.rfftfreq(len(late), 1 / rate)
    middle = (hz > center_hz / 2 ** (1 / 6)) & (hz < center_hz * 2 ** (1 / 6))
    # The noise has 2 * bandwidth * rt60 / 13.8 degrees of freedom or more: 10 in the lowest band here, so its energy
    # scatters by 1.5 dB; the filter, passed twice, is 0 to 1 dB down within the third. Three sigma.
    assert decibels(np.mean(spectrum[middle])) == pytest.approx(decibels(0.5**2), abs=5)
    curve = np.cumsum(octave(late, center_hz=center_hz, rate=rate)[::-1] ** 2)[::-1]
    fall_db = 10 * np.log10(curve / curve[0])
    used = (fall_db < -5) & (fall_db > -35)
    slope = np.polyfit(np.nonzero(used)[0] / rate, fall_db[used], 1)[0]
    assert -60 / slope == pytest.approx(0.4, rel=0.2)


@pytest.mark.parametrize("blocks", [[1, 0, 1, 319, 679, 5_000], [20_000, 17_000], [320] * 60])
def test_streaming_equals_scipys_convolution_of_the_whole(blocks: list[int]) -> None:
    dry = np.random.default_rng(0).normal(size=sum(blocks)).astype(np.float32)
    stream = StreamingReverb(HALL, sample_rate_hz=RATE)
    wet = [stream.process(block) for block in np.split(dry, np.cumsum(blocks)[:-1])]
    assert [len(block) for block in wet] == blocks
    response = impulse_response(HALL, sample_rate_hz=RATE)
    expected = scipy.signal.fftconvolve(dry.astype(np.float64), response)[: len(dry)]
    # Double precision inside; the output is rounded to float32.
    np.testing.assert_allclose(np.concatenate(wet), expected, atol=1e-7 * np.abs(expected).max())


def test_the_direct_sound_is_untouched() -> None:
    response = impulse_response(HALL, sample_rate_hz=RATE)
    assert response[0] == 1.0
    assert response.shape == (RATE,)
    impulse = np.zeros(400, np.float32)
    impulse[0] = 0.7
    wet = StreamingReverb(HALL, sample_rate_hz=RATE).process(impulse)
    assert wet[0] == pytest.approx(0.7, rel=1e-6)  # float32


def test_weights_and_json_bring_back_the_very_room() -> None:
    rng = np.random.default_rng(0)
    for scale in (0.1, 3.0, 30.0):
        room = Reverb.from_weights(rng.normal(0, scale, (2, 24)).astype(np.float32))
        assert Reverb.from_weights(room.to_weights()) == room
        assert Reverb.model_validate_json(room.model_dump_json()) == room
    assert Reverb.from_weights(np.full((2, 3), 99.0)).levels == (LEVEL_RANGE[1],) * 3
    assert Reverb.from_weights(np.full((2, 3), -99.0)).rt60_secs == (RT60_RANGE_SECS[0],) * 3


def test_training_starts_from_a_faint_room() -> None:
    room = Reverb.from_weights(initial_weights(5))
    response = impulse_response(room, sample_rate_hz=RATE)
    assert decibels(np.sum(response[1:] ** 2)) < -15
    assert max(room.rt60_secs) <= 1.0


@pytest.mark.parametrize(
    "changes",
    [{"levels": (0.1,)}, {"levels": (0.1, 5.0)}, {"rt60_secs": (0.1, 3.0)}, {"low_hz": 9_000.0}, {"levels": ()}],
)
def test_impossible_rooms_are_refused(changes: dict[str, object]) -> None:
    possible = {"levels": (0.1, 0.2), "rt60_secs": (0.1, 0.2)}
    Reverb.model_validate(possible)
    with pytest.raises(pydantic.ValidationError):
        Reverb.model_validate({**possible, **changes})


def test_cost_is_that_of_two_transforms_a_block() -> None:
    # 1 s at 16 kHz fits 16,384 samples: transforms of 32,768 = 2 ** 15, 16,385 bins.
    expected = (2 * 2.5 * 32_768 * 15 + 6 * 16_385) * 16_000 / 16_384 / 1e6
    assert reverb_mflops(sample_rate_hz=16_000) == pytest.approx(expected)
