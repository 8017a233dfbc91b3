"""The recurrent decoder: one GRU, then optional dense layers.

The cell is Cho et al. 2014 in the variant that applies the reset gate after the recurrent product (cuDNN's and
Keras' ``reset_after``), so a step needs a single product with the state::

    z, r, _ = sigmoid(x W + b + h R + c),   n = tanh(x W_n + b_n + r * (h R_n + c_n)),   h' = n + z * (h - n)
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tinytimbre.decoders.base import Decoder, input_kernel_shape
from tinytimbre.kernels.gru import backward_scan, filled_units, forward_scan


class GruDecoder(Decoder):
    """GRU of ``width`` units and ``depth`` dense ReLU layers of the same width."""

    def _build_body(self) -> None:
        width = self.spec.width
        self._add_input_layer("gru", 3 * width, self._glorot(*input_kernel_shape(3 * width)))
        self._add("gru_recurrent_kernel", np.concatenate([self._orthogonal(width) for _ in range(3)], axis=1))
        self._add("gru_recurrent_bias", np.zeros(3 * width))
        for layer in range(self.spec.depth):
            self._add(f"dense{layer}_kernel", self._glorot(width, width))
            self._add(f"dense{layer}_bias", np.zeros(width))

    def _orthogonal(self, size: int) -> np.ndarray:
        q, r = np.linalg.qr(self._rng.normal(size=(size, size)))
        return q * np.sign(np.diag(r))

    def _features(self, inputs: tf.Tensor) -> tf.Tensor:
        weights = self._weights
        input_weights = tf.concat([weights["gru_kernel"], weights["gru_bias"][None]], axis=0)
        hidden = gru_scan(inputs, input_weights, weights["gru_recurrent_kernel"], weights["gru_recurrent_bias"])
        return self._dense(tf.reshape(hidden, [-1, self.spec.width]))

    def _step_features(self, inputs: tf.Tensor, state: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        weights = self._weights
        projected = self._affine(inputs, "gru")
        hidden = _cell(projected, state, weights["gru_recurrent_kernel"], weights["gru_recurrent_bias"])
        return self._dense(hidden), hidden

    def _block_features(self, inputs: tf.Tensor, state: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        weights, hidden = self._weights, []
        projected = self._affine(inputs, "gru")
        for row in tf.split(projected, projected.shape[0], axis=0):
            state = _cell(row, state, weights["gru_recurrent_kernel"], weights["gru_recurrent_bias"])
            hidden.append(state)
        return self._dense(tf.concat(hidden, axis=0)), state

    def _dense(self, hidden: tf.Tensor) -> tf.Tensor:
        for layer in range(self.spec.depth):
            hidden = tf.nn.relu(self._affine(hidden, f"dense{layer}"))
        return hidden


def _cell(projected: tf.Tensor, hidden: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
    """One step, in operations that every TensorFlow.js backend has."""
    xz, xr, xn = tf.split(projected, 3, axis=-1)
    hz, hr, hn = tf.split(tf.nn.bias_add(tf.matmul(hidden, kernel), bias), 3, axis=-1)
    z, r = tf.sigmoid(xz + hz), tf.sigmoid(xr + hr)
    n = tf.tanh(xn + r * hn)
    return n + z * (hidden - n)


def gru_scan(inputs: tf.Tensor, input_weights: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
    """All hidden states of a GRU that starts from zero, by `tinytimbre.kernels.gru`.

    Args:
        inputs: float32 [batch, frames, n]; no gradient reaches them.
        input_weights: float32 [n + 1, 3 * units], kernel and, last, bias of the inputs; gates in the order z, r, n.
        kernel: float32 [units, 3 * units].
        bias: float32 [3 * units].

    Returns:
        float32 [batch, frames, units].
    """
    batch, frames, units = inputs.shape[0], inputs.shape[1], kernel.shape[0]
    floats = [tf.float32, tf.float32]

    @tf.custom_gradient
    def scan(weights: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor) -> tuple[tf.Tensor, Callable[..., object]]:
        hidden, gates = tf.numpy_function(forward_scan, [inputs, weights, kernel, bias], floats, stateful=False)
        hidden = tf.ensure_shape(hidden, [frames, batch, filled_units(units)])

        def grad(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            call = [upstream, inputs, hidden, gates, kernel]
            d_weights, d_recurrent = tf.numpy_function(backward_scan, call, floats, stateful=False)
            d_recurrent = tf.ensure_shape(d_recurrent, [frames, batch, 3 * units])
            # The state before the first frame is zero.
            before, after = hidden[:-1, :, :units], d_recurrent[1:]
            d_kernel = tf.matmul(_rows(before), _rows(after), transpose_a=True)
            # Several times as fast as a sum over the rows.
            d_bias = tf.raw_ops.BiasAddGrad(out_backprop=_rows(d_recurrent))
            return tf.ensure_shape(d_weights, weights.shape), d_kernel, d_bias

        return tf.transpose(hidden[..., :units], [1, 0, 2]), grad

    return tf.ensure_shape(scan(input_weights, kernel, bias), [batch, frames, units])


def _rows(values: tf.Tensor) -> tf.Tensor:
    return tf.reshape(values, [-1, values.shape[-1]])
