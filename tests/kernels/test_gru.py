"""The GRU's scan against Keras' own layer, forwards and backwards."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from tinytimbre.decoders.gru import gru_scan


@pytest.mark.parametrize(("units", "batch", "frames"), [(8, 3, 9), (32, 4, 5), (50, 8, 21)])
def test_value_and_gradients_equal_keras(units: int, batch: int, frames: int) -> None:
    rng = np.random.default_rng(units)
    layer = tf_keras.layers.GRU(units, return_sequences=True, bias_initializer="glorot_uniform")
    inputs = tf.constant(rng.normal(size=(batch, frames, 6)).astype(np.float32))
    weights = tf.constant(rng.normal(size=(batch, frames, units)).astype(np.float32))
    layer(inputs)
    kernel, recurrent, biases = layer.trainable_variables

    def ours() -> tf.Tensor:
        return gru_scan(inputs, tf.concat([kernel, biases[:1]], axis=0), recurrent, biases[1])

    values, gradients = [], []
    for function in (lambda: layer(inputs), ours):
        with tf.GradientTape() as tape:
            value = function()
            total = tf.reduce_sum(value * weights)
        values.append(value)
        gradients.append(tape.gradient(total, [kernel, recurrent, biases]))
    # Gates come from another exponential, off by 2 units in the last place, over a few frames of memory.
    np.testing.assert_allclose(values[1], values[0], atol=2e-6)
    for mine, theirs in zip(gradients[1], gradients[0], strict=True):
        np.testing.assert_allclose(mine, theirs, atol=2e-5 * np.abs(theirs).max())
