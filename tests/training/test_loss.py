"""The loss and its hand-written gradient against ddsp's SpectralLoss and TensorFlow's own differentiation."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
import tensorflow as tf

from tinytimbre.ddsp_door import import_ddsp
from tinytimbre.training import loss

SIZES = (2048, 1024, 512, 256, 128, 64)


@pytest.fixture
def audio() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    envelope = np.linspace(0.02, 0.3, 8000, dtype=np.float32)
    target = rng.normal(size=(2, 8000)).astype(np.float32) * envelope
    return target, (target + 0.1 * rng.normal(size=(3, 2, 8000)) * envelope).astype(np.float32)


def theirs(target: np.ndarray, audio: tf.Tensor) -> tf.Tensor:
    return import_ddsp().losses.SpectralLoss(fft_sizes=SIZES, logmag_weight=1.0)(tf.constant(target), audio)


def test_value_and_gradient_equal_ddsp(audio: tuple[np.ndarray, np.ndarray]) -> None:
    target, models = audio
    variable = tf.Variable(models)
    with tf.GradientTape() as tape:
        values = loss.spectral_loss(variable, tf.constant(target), fft_sizes=SIZES)
    gradient = tape.gradient(values, variable)
    for index in range(3):
        single = tf.Variable(models[index])
        with tf.GradientTape() as tape:
            expected = theirs(target, single)
        # float32 sums over half a million bins in another order.
        assert values[index].numpy() == pytest.approx(expected.numpy(), rel=1e-5)
        reference = tape.gradient(expected, single).numpy()
        # The slope of log|X| is 1 / |X|: the few bins that nearly vanish have the largest slopes and the worst relative
        # rounding (of the size of the transform's 1e-7 / |X|), in both implementations; 1 % of the norm covers them.
        difference = np.linalg.norm(gradient[index].numpy() - reference)
        assert difference < 1e-2 * np.linalg.norm(reference)


def levels(audio: tf.Tensor, *, size: int) -> tf.Tensor:
    """The A-weighted levels of frames in nepers, by TensorFlow's transform and librosa's weights."""
    frames = tf.signal.stft(audio, size, size // 4, size, pad_end=True)
    weights_db = librosa.A_weighting(librosa.fft_frequencies(sr=16_000, n_fft=size))
    power = tf.reduce_mean(tf.abs(frames) ** 2 * tf.constant(10 ** (weights_db / 10), tf.float32), axis=-1)
    return 0.5 * tf.math.log(power + 10 ** (loss.LOUDNESS_FLOOR_DB / 10))


@pytest.mark.parametrize(("fft_sizes", "size"), [((2048, 512, 64), 512), ((128, 1024), 1024), ((64,), 64)])
def test_loudness_and_its_gradient_equal_tensorflow(
    audio: tuple[np.ndarray, np.ndarray], fft_sizes: tuple[int, ...], size: int
) -> None:
    target, models = audio
    variable = tf.Variable(models)
    with tf.GradientTape(persistent=True) as tape:
        both = [
            loss.spectral_loss(variable, tf.constant(target), fft_sizes=fft_sizes, loudness=loss.Loudness(w, 16_000))
            for w in (0.0, 3.0)
        ]
        own = both[1] - both[0]
        expected = 3.0 * tf.reduce_mean(
            tf.abs(levels(variable, size=size) - levels(tf.constant(target), size=size)), axis=[1, 2]
        )
    # The difference of two sums of order 1 in float32.
    np.testing.assert_allclose(own.numpy(), expected.numpy(), rtol=1e-4, atol=1e-5)
    mine, theirs = (tape.gradient(value, variable).numpy() for value in (own, expected))
    # Of the two gradients that are subtracted one is some ten times the difference, with a rounding of 1e-6 or less.
    assert np.linalg.norm(mine - theirs) < 1e-4 * np.linalg.norm(theirs)


def test_a_level_below_the_floor_has_hardly_a_slope() -> None:
    rng = np.random.default_rng(1)
    whisper = tf.constant(1e-7 * rng.normal(size=(1, 4096)), tf.float32)
    variable = tf.Variable(2.0 * whisper[None])
    with tf.GradientTape() as tape:
        value = loss.spectral_loss(variable, whisper, fft_sizes=(512,), loudness=loss.Loudness(1.0, 16_000))
    # Magnitudes below 1e-5 have no logarithm; what is left is their difference itself.
    assert float(value[0]) < 1e-4
    assert np.all(np.isfinite(tape.gradient(value, variable).numpy()))


def test_distance_is_the_same_value(audio: tuple[np.ndarray, np.ndarray]) -> None:
    target, models = audio
    both = (
        function(tf.constant(models), tf.constant(target), fft_sizes=(256, 64), loudness=loss.Loudness(1.0, 16_000))
        for function in (loss.spectral_distance, loss.spectral_loss)
    )
    np.testing.assert_array_equal(*both)


def test_silence_has_no_gradient_and_no_nan() -> None:
    silence = tf.zeros([1, 1, 4096])
    variable = tf.Variable(silence)
    with tf.GradientTape() as tape:
        value = loss.spectral_loss(variable, silence[0], fft_sizes=SIZES, loudness=loss.Loudness(1.0, 16_000))
    assert float(value[0]) == 0.0
    assert not np.any(tape.gradient(value, variable).numpy())
