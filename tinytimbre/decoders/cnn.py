"""The convolutional decoder: residual blocks of causal dilated convolutions.

A frame depends on past frames only, so the network streams: its state is the last ``(kernel_size - 1) * dilation``
inputs of each convolution, oldest first, block after block.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tinytimbre.decoders.base import Decoder, input_kernel_shape
from tinytimbre.decoders.spec import N_INPUTS


class CnnDecoder(Decoder):
    """``depth`` blocks ``x + pointwise(relu(conv(x)))`` of ``width`` channels, after a pointwise input layer."""

    def _build_body(self) -> None:
        width, taps = self.spec.width, self.spec.kernel_size
        self._add_input_layer("input", width, self._glorot(*input_kernel_shape(width)))
        for block in range(self.spec.depth):
            self._add(f"conv{block}_kernel", self._glorot(taps, width, width))
            self._add(f"conv{block}_bias", np.zeros(width))
            self._add(f"mix{block}_kernel", self._glorot(width, width))
            self._add(f"mix{block}_bias", np.zeros(width))

    def _features(self, inputs: tf.Tensor) -> tf.Tensor:
        x = self._entry(tf.reshape(inputs, [-1, N_INPUTS]))
        sequences = [*inputs.shape[:2], self.spec.width]
        for block, dilation in enumerate(self.spec.dilations):
            taps = causal_taps(tf.reshape(x, sequences), taps=self.spec.kernel_size, dilation=dilation)
            x = self._block(block, x, tf.reshape(taps, [-1, self.spec.kernel_size * self.spec.width]))
        return tf.nn.relu(x)

    def _step_features(self, inputs: tf.Tensor, state: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        x, next_state = self._entry(inputs), []
        for block, past in enumerate(self._pasts(state)):
            # Between two taps of a dilated convolution lies a piece that only waits.
            taps = past if self.spec.dilations[block] == 1 else past[::2]
            next_state += [*past[1:], x]
            x = self._block(block, x, tf.concat([*taps, x], axis=-1))
        return tf.nn.relu(x), tf.concat(next_state, axis=-1) if next_state else state

    def _block_features(self, inputs: tf.Tensor, state: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        x, frames, next_state = self._entry(inputs), inputs.shape[0], []
        sizes = [(self.spec.kernel_size - 1) * dilation * self.spec.width for dilation in self.spec.dilations]
        for block, past in enumerate(tf.split(state, sizes, axis=-1) if sizes else []):
            dilation = self.spec.dilations[block]
            seen = tf.concat([tf.reshape(past, [-1, self.spec.width]), x], axis=0)
            next_state.append(tf.reshape(seen[frames:], [1, -1]))
            taps = [seen[tap * dilation : tap * dilation + frames] for tap in range(self.spec.kernel_size)]
            x = self._block(block, x, tf.concat(taps, axis=-1))
        return tf.nn.relu(x), tf.concat(next_state, axis=-1) if next_state else state

    def _pasts(self, state: tf.Tensor) -> list[list[tf.Tensor]]:
        """The state cut once, where any block reads it: for each block and tap its input, then what only waits."""
        width, taps = self.spec.width, self.spec.kernel_size - 1
        sizes = [[width, (d - 1) * width][: 1 + (d > 1)] * taps for d in self.spec.dilations]
        pieces = iter(tf.split(state, [size for own in sizes for size in own], axis=-1) if sizes else [])
        return [[next(pieces) for _ in own] for own in sizes]

    def _entry(self, inputs: tf.Tensor) -> tf.Tensor:
        return self._affine(inputs, "input")

    def _block(self, block: int, x: tf.Tensor, taps: tf.Tensor) -> tf.Tensor:
        """One residual block; the convolution is one product over its taps, oldest first."""
        hidden = tf.nn.relu(self._affine(taps, f"conv{block}"))
        return x + self._affine(hidden, f"mix{block}")


def causal_taps(x: tf.Tensor, *, taps: int, dilation: int) -> tf.Tensor:
    """What a causal dilated convolution sees at each frame.

    One operation each way; as slices of TensorFlow's they are dozens, and take longer to compile than to train.

    Args:
        x: float32 [batch, frames, channels].
        taps: of the convolution.
        dilation: frames between them.

    Returns:
        float32 [batch, frames, taps * channels], oldest first, zeros before the first frame.
    """
    shape = x.shape
    delays = [(taps - 1 - tap) * dilation for tap in range(taps)]

    def collect(x: np.ndarray) -> np.ndarray:
        out = np.zeros((*shape[:2], taps, shape[2]), np.float32)
        for tap, delay in enumerate(delays):
            out[:, delay:, tap] = x[:, : max(0, shape[1] - delay)]
        return out.reshape(*shape[:2], -1)

    def distribute(upstream: np.ndarray) -> np.ndarray:
        parts = upstream.reshape(*shape[:2], taps, shape[2])
        out = np.zeros(shape, np.float32)
        for tap, delay in enumerate(delays):
            out[:, : max(0, shape[1] - delay)] += parts[:, delay:, tap]
        return out

    @tf.custom_gradient
    def collected(x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        def grad(upstream: tf.Tensor) -> tf.Tensor:
            return tf.ensure_shape(tf.numpy_function(distribute, [upstream], tf.float32, stateful=False), shape)

        seen = tf.numpy_function(collect, [x], tf.float32, stateful=False)
        return tf.ensure_shape(seen, [*shape[:2], taps * shape[2]]), grad

    return collected(x)
