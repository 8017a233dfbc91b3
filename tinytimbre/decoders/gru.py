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
from tinytimbre.decoders.spec import N_INPUTS
from tinytimbre.kernels.gru import backward_scan, forward_scan


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
        flat = self._affine(tf.reshape(inputs, [-1, N_INPUTS]), "gru")
        projected = tf.reshape(flat, [*inputs.shape[:2], flat.shape[1]])
        hidden = gru_scan(projected, weights["gru_recurrent_kernel"], weights["gru_recurrent_bias"])
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


@tf.custom_gradient
def gru_scan(projected: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor) -> tuple[tf.Tensor, Callable[..., object]]:
    """All hidden states of a GRU that starts from zero, by `tinytimbre.kernels.gru`.

    Args:
        projected: x W + b, float32 [batch, frames, 3 * units], gates in the order z, r, n.
        kernel: float32 [units, 3 * units].
        bias: float32 [3 * units].

    Returns:
        float32 [batch, frames, units].
    """
    batch, frames, units = projected.shape[0], projected.shape[1], kernel.shape[0]
    floats = [tf.float32, tf.float32]
    hidden, gates = tf.numpy_function(forward_scan, [projected, kernel, bias], floats, stateful=False)

    def grad(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        d_projected, d_recurrent = tf.numpy_function(
            backward_scan, [upstream, hidden, gates, kernel], floats, stateful=False
        )
        previous = tf.reshape(tf.concat([tf.zeros([1, batch, units]), hidden[:-1, :, :units]], axis=0), [-1, units])
        flat = tf.reshape(d_recurrent, [-1, 3 * units])
        d_kernel = tf.matmul(previous, flat, transpose_a=True)
        # Several times as fast as a sum over the rows.
        d_bias = tf.raw_ops.BiasAddGrad(out_backprop=flat)
        return tf.ensure_shape(d_projected, projected.shape), d_kernel, d_bias

    return tf.ensure_shape(tf.transpose(hidden[..., :units], [1, 0, 2]), [batch, frames, units]), grad
