"""Training through the rounding of the export: the loss hears the weights that will ship.

    decoder.compute_through(rounded_view(bits=4))

Each weight is seen as `tinytimbre.export.packing` stores and a reader restores it, to the bit; the gradient passes
straight through to the unrounded variable (Bengio, Léonard and Courville 2013).
"""

from __future__ import annotations

import functools

import tensorflow as tf

from tinytimbre.decoders.base import View
from tinytimbre.export.packing import rounded


def rounded_view(*, bits: int) -> View:
    """For `Decoder.compute_through`: weights as a bundle of ``int<bits>`` holds them."""
    through = functools.partial(rounded, bits=bits)

    def view(_name: str, variable: tf.Variable) -> tf.Tensor:
        value = tf.convert_to_tensor(variable)
        seen = tf.ensure_shape(tf.numpy_function(through, [value], tf.float32), value.shape)
        return value + tf.stop_gradient(seen - value)

    return view
