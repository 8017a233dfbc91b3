"""The room in training: TensorFlow's result, gradients and stand-in for the past against NumPy and SciPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.signal
import tensorflow as tf

from tinytimbre.synthesis.batched import ClipShape
from tinytimbre.synthesis.batched_reverb import ReverbBank, late_response
from tinytimbre.synthesis.reverb import (
    LEVEL_RANGE,
    RT60_RANGE_SECS,
    Reverb,
    band_noises,
    bounded,
    impulse_response,
    initial_weights,
)
from tinytimbre.training.loss import spectral_distance, spectral_loss

RATE = 8_000
SHAPE = ClipShape(clips=2, frames=10, hop=160, sample_rate_hz=RATE)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def late(weights: np.ndarray, *, rate: int) -> np.ndarray:
    """The late response in double precision, from the formula."""
    levels = bounded(weights[0], limits=LEVEL_RANGE)
    decays = math.log(1000) / bounded(weights[1], limits=RT60_RANGE_SECS)
    noises = band_noises(weights.shape[1], sample_rate_hz=rate)
    seconds = np.arange(noises.shape[1]) / rate
    parts = [
        level * math.sqrt(2 * decay) * np.exp(-decay * seconds) * noise
        for level, decay, noise in zip(levels, decays, noises, strict=True)
    ]
    return np.concatenate([[0.0], np.sum(parts, axis=0)[1:]])


def heard(clips: np.ndarray, past: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Clips in the room after their past, in double precision."""
    sound = np.concatenate([past, clips], axis=-1).astype(np.float64)
    response = late(weights, rate=RATE)[None]
    ringing = scipy.signal.fftconvolve(sound, response, axes=1)[:, past.shape[1] : sound.shape[1]]
    return clips + ringing


def test_response_is_the_one_that_is_played(rng: np.random.Generator) -> None:
    room = Reverb.from_weights(rng.normal(size=(2, 9)))
    noises = band_noises(9, sample_rate_hz=RATE)
    ours = late_response(tf.constant(room.to_weights()), tf.constant(noises, tf.float32), sample_rate_hz=RATE).numpy()
    expected = impulse_response(room, sample_rate_hz=RATE)
    # float32 against double precision, relative to the loudest sample.
    np.testing.assert_allclose(ours[1:], expected[1:], atol=1e-6 * np.abs(expected[1:]).max())


@pytest.mark.parametrize("past_samples", [0, 700, RATE])
def test_clips_ring_as_with_scipy_and_models_do_not_mix(rng: np.random.Generator, past_samples: int) -> None:
    dry = rng.normal(size=(3, 2, SHAPE.samples)).astype(np.float32)
    past = rng.normal(size=(2, past_samples)).astype(np.float32)
    weights = [rng.normal(size=(2, 5)), None, rng.normal(size=(2, 8))]
    bank = ReverbBank([None if w is None else tf.Variable(w, dtype=tf.float32) for w in weights], shape=SHAPE)
    wet = bank.audio(tf.constant(dry), past=tf.constant(past)).numpy()
    np.testing.assert_array_equal(wet[1], dry[1])
    for index in (0, 2):
        expected = heard(dry[index], past, weights[index])
        # float32 transforms of 16,384 samples: a few 1e-7 of the largest sample times the logarithm of the size.
        np.testing.assert_allclose(wet[index], expected, atol=5e-6 * np.abs(expected).max())


def test_no_room_costs_nothing(rng: np.random.Generator) -> None:
    dry = tf.constant(rng.normal(size=(2, 2, SHAPE.samples)), tf.float32)
    assert ReverbBank([None, None], shape=SHAPE).audio(dry, past=tf.zeros([2, 0])) is dry


def test_gradients_equal_finite_differences(rng: np.random.Generator) -> None:
    clips = rng.normal(size=(2, SHAPE.samples))
    past, weighting = rng.normal(size=(2, RATE)), rng.normal(size=clips.shape)
    weights = 0.3 * rng.normal(size=(2, 4))
    variable, dry = tf.Variable(weights, dtype=tf.float32), tf.Variable(clips[None], dtype=tf.float32)
    bank = ReverbBank([variable], shape=SHAPE)
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(bank.audio(dry, past=tf.constant(past, tf.float32))[0] * weighting.astype(np.float32))
    by_weights, by_sound = tape.gradient(value, [variable, dry])

    def double(weights: np.ndarray) -> float:
        return float(np.sum(heard(clips, past, weights) * weighting))

    steps = 1e-4 * np.eye(8).reshape(8, 2, 4)
    expected = np.array([(double(weights + s) - double(weights - s)) / 2e-4 for s in steps]).reshape(2, 4)
    # The differences are exact to 1e-8; float32 sums over 3,200 samples of random sign, relative to the largest.
    np.testing.assert_allclose(by_weights.numpy(), expected, atol=1e-4 * np.abs(expected).max())
    # The transpose of a convolution is a correlation.
    response = late(weights, rate=RATE)
    backwards = [scipy.signal.fftconvolve(row[::-1], response)[: len(row)][::-1] for row in weighting]
    np.testing.assert_allclose(by_sound.numpy()[0], weighting + backwards, atol=1e-5 * np.abs(backwards).max())


def plucks(rng: np.random.Generator, *, secs: int) -> np.ndarray:
    """Dry tones of 0.1 to 0.4 s at random pitches, some silence in between."""
    dry = np.zeros(secs * RATE)
    for start in range(0, len(dry) - RATE, RATE // 2):
        samples = int(rng.uniform(0.1, 0.4) * RATE)
        seconds = np.arange(samples) / RATE
        fade = np.minimum(1, seconds / 0.01) * np.minimum(1, seconds[::-1] / 0.02)
        f0_hz = rng.uniform(200, 500)
        waves = sum(np.sin(2 * np.pi * f0_hz * k * seconds) / k for k in range(1, 8))
        dry[start : start + samples] = 0.2 * fade * (waves + 0.1 * rng.normal(size=samples))
    return dry


def test_a_known_room_is_found_again(rng: np.random.Generator) -> None:
    """The numbers alone are trained, on dry tones that are known exactly, as training does it: wet past and all."""
    room = Reverb(levels=(0.3, 0.5, 0.2), rt60_secs=(0.7, 0.5, 0.3))
    shape = ClipShape(clips=4, frames=50, hop=160, sample_rate_hz=RATE)
    dry = plucks(rng, secs=20)
    wet = scipy.signal.fftconvolve(dry, impulse_response(room, sample_rate_hz=RATE))[: len(dry)]
    variable = tf.Variable(initial_weights(3))
    bank, optimiser = ReverbBank([variable], shape=shape), tf.keras.optimizers.legacy.Adam(0.025)

    @tf.function(autograph=False)
    def step(clips: tf.Tensor, past: tf.Tensor, target: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            loss = spectral_loss(bank.audio(clips[None], past=past), target, fft_sizes=(1024, 256))
        optimiser.apply_gradients([(tape.gradient(loss, variable), variable)])

    for _ in range(150):
        starts = rng.integers(RATE, len(dry) - 2 * RATE, 4)
        windows = [(dry, 0), (wet, -RATE), (wet, 0)]
        step(*(tf.constant([a[s + o : s + o + RATE] for s in starts], tf.float32) for a, o in windows))
    found = Reverb.from_weights(variable.numpy())
    # The past stands in for what was played, so a tenth of the numbers is as near as this can be expected to come;
    # training started 6 to 14 dB and a factor of 1.2 to 2.8 away.
    assert found.levels == pytest.approx(room.levels, rel=0.12)
    assert found.rt60_secs == pytest.approx(room.rt60_secs, rel=0.12)


def test_the_recorded_past_is_nearly_the_true_one(rng: np.random.Generator) -> None:
    """How far a right model's loss is from zero: what it would be compared by."""
    room = Reverb(levels=(0.4, 0.4, 0.4), rt60_secs=(0.8, 0.6, 0.4))
    dry = plucks(rng, secs=20)
    wet = scipy.signal.fftconvolve(dry, impulse_response(room, sample_rate_hz=RATE))[: len(dry)]
    starts = np.arange(RATE, len(dry) - 2 * RATE, RATE // 3)[:40]
    shape = ClipShape(clips=40, frames=50, hop=160, sample_rate_hz=RATE)
    bank = ReverbBank([tf.Variable(room.to_weights())], shape=shape)

    def windows(audio: np.ndarray, offset: int) -> tf.Tensor:
        return tf.constant([audio[start + offset : start + offset + RATE] for start in starts], tf.float32)

    def loss(past: tf.Tensor) -> float:
        audio = bank.audio(windows(dry, 0)[None], past=past)
        return float(spectral_distance(audio, windows(wet, 0), fft_sizes=(1024, 256))[0])

    true, recorded, none = loss(windows(dry, -RATE)), loss(windows(wet, -RATE)), loss(tf.zeros([40, 0]))
    assert true < 0.1 * recorded  # what remains is rounding
    assert recorded < 0.5 * none
