"""The loss and its hand-written gradient against ddsp's SpectralLoss and TensorFlow's own differentiation."""

from __future__ import annotations

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


def test_distance_is_the_same_value(audio: tuple[np.ndarray, np.ndarray]) -> None:
    target, models = audio
    both = (
        function(tf.constant(models), tf.constant(target), fft_sizes=(256, 64))
        for function in (loss.spectral_distance, loss.spectral_loss)
    )
    np.testing.assert_array_equal(*both)


def test_silence_has_no_gradient_and_no_nan() -> None:
    silence = tf.zeros([1, 1, 4096])
    variable = tf.Variable(silence)
    with tf.GradientTape() as tape:
        value = loss.spectral_loss(variable, silence[0], fft_sizes=SIZES)
    assert float(value[0]) == 0.0
    assert not np.any(tape.gradient(value, variable).numpy())
