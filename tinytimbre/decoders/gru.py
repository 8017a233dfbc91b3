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

Gates = tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]


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
        projected = tf.matmul(inputs, weights["gru_kernel"]) + weights["gru_bias"]
        hidden = gru_scan(projected, weights["gru_recurrent_kernel"], weights["gru_recurrent_bias"])
        return self._dense(hidden)

    def _step_features(self, inputs: tf.Tensor, state: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        weights = self._weights
        projected = tf.matmul(inputs, weights["gru_kernel"]) + weights["gru_bias"]
        hidden, _ = _cell(projected, state, weights["gru_recurrent_kernel"], weights["gru_recurrent_bias"])
        return self._dense(hidden), hidden

    def _block_features(self, inputs: tf.Tensor, state: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        weights, hidden = self._weights, []
        projected = tf.matmul(inputs, weights["gru_kernel"]) + weights["gru_bias"]
        for row in tf.split(projected, projected.shape[0], axis=0):
            state, _ = _cell(row, state, weights["gru_recurrent_kernel"], weights["gru_recurrent_bias"])
            hidden.append(state)
        return self._dense(tf.concat(hidden, axis=0)), state

    def _dense(self, hidden: tf.Tensor) -> tf.Tensor:
        for layer in range(self.spec.depth):
            hidden = tf.nn.relu(
                tf.matmul(hidden, self._weights[f"dense{layer}_kernel"]) + self._weights[f"dense{layer}_bias"]
            )
        return hidden


def _cell(projected: tf.Tensor, hidden: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor) -> tuple[tf.Tensor, Gates]:
    """One step; also returns what the backward pass needs."""
    xz, xr, xn = tf.split(projected, 3, axis=-1)
    hz, hr, hn = tf.split(tf.matmul(hidden, kernel) + bias, 3, axis=-1)
    z, r = tf.sigmoid(xz + hz), tf.sigmoid(xr + hr)
    n = tf.tanh(xn + r * hn)
    return n + z * (hidden - n), (z, r, n, hn)


@tf.custom_gradient
def gru_scan(projected: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor) -> tuple[tf.Tensor, Callable[..., object]]:
    """All hidden states of a GRU that starts from zero.

    The gradient is written out because TensorFlow's own accumulates the kernel's gradient inside its loop; here the
    loop only carries the hidden gradient and the kernel's is one product over all frames at the end.

    Args:
        projected: x W + b, float32 [batch, frames, 3 * units], gates in the order z, r, n.
        kernel: float32 [units, 3 * units].
        bias: float32 [3 * units].

    Returns:
        float32 [batch, frames, units].
    """
    batch, frames = projected.shape[0], projected.shape[1]
    units = kernel.shape[0]
    steps = tf.transpose(projected, [1, 0, 2])
    hidden, gates = _forward_loop(steps, kernel, bias, shape=(frames, batch, units))

    def grad(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        previous = tf.concat([tf.zeros([1, batch, units]), hidden[:-1]], axis=0)
        d_projected, d_recurrent = _backward_loop(tf.transpose(upstream, [1, 0, 2]), previous, gates, kernel)
        flat = tf.reshape(d_recurrent, [-1, 3 * units])
        d_kernel = tf.matmul(tf.reshape(previous, [-1, units]), flat, transpose_a=True)
        return tf.transpose(d_projected, [1, 0, 2]), d_kernel, tf.reduce_sum(flat, axis=0)

    return tf.transpose(hidden, [1, 0, 2]), grad


def _forward_loop(
    steps: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor, *, shape: tuple[int, int, int]
) -> tuple[tf.Tensor, Gates]:
    frames, batch, units = shape
    arrays = tuple(tf.TensorArray(tf.float32, frames, element_shape=[batch, units]) for _ in range(5))

    def body(t: tf.Tensor, hidden: tf.Tensor, arrays: tuple[tf.TensorArray, ...]) -> tuple[object, ...]:
        hidden, gates = _cell(steps[t], hidden, kernel, bias)
        written = tuple(array.write(t, value) for array, value in zip(arrays, (hidden, *gates), strict=True))
        return t + 1, hidden, written

    start = (tf.constant(0), tf.zeros([batch, units]), arrays)
    *_, arrays = tf.while_loop(lambda t, *_: t < frames, body, start, maximum_iterations=frames)
    hidden, z, r, n, hn = (array.stack() for array in arrays)
    return hidden, (z, r, n, hn)


def _backward_loop(
    upstream: tf.Tensor, previous: tf.Tensor, gates: Gates, kernel: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Gradients of the projected inputs and of ``h R + c``, both [frames, batch, 3 * units]."""
    z, r, n, hn = gates
    frames, batch, units = previous.shape
    transposed = tf.transpose(kernel)
    # Everything that does not depend on the carried gradient is computed for all frames at once.
    to_n = (1.0 - z) * (1.0 - n * n)
    to_z = (previous - n) * z * (1.0 - z)
    to_r = to_n * hn * r * (1.0 - r)
    local = tf.concat([to_z, to_r, to_n, to_n * r], axis=-1)
    array = tf.TensorArray(tf.float32, frames, element_shape=[batch, 4 * units])

    def body(t: tf.Tensor, carried: tf.Tensor, array: tf.TensorArray) -> tuple[object, ...]:
        total = carried + upstream[t]
        gradient = tf.tile(total, [1, 4]) * local[t]
        recurrent = tf.concat([gradient[:, : 2 * units], gradient[:, 3 * units :]], axis=-1)
        return t - 1, total * z[t] + tf.matmul(recurrent, transposed), array.write(t, gradient)

    start = (tf.constant(frames - 1), tf.zeros([batch, units]), array)
    _, _, array = tf.while_loop(lambda t, *_: t >= 0, body, start, maximum_iterations=frames)
    gradient = array.stack()
    recurrent = tf.concat([gradient[..., : 2 * units], gradient[..., 3 * units :]], axis=-1)
    return gradient[..., : 3 * units], recurrent
