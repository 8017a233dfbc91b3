"""Rooms of models in training: TensorFlow, differentiable in the numbers and in the sound.

Same result as `tinytimbre.synthesis.reverb` but for where a clip begins. There the room still rings with what was
played before, which training does not synthesise; the recording itself stands in for it. That is not quite right: the
recording has been in the room already, so it is heard there twice. Leaving the past out would be worse, above all for
comparisons: every clip of a model with a room would begin too dry, and its loss be too high beside one without.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tinytimbre.synthesis.batched import ClipShape
from tinytimbre.synthesis.reverb import LEVEL_RANGE, RT60_RANGE_SECS, SLOPE, band_noises, convolution_size


class ReverbBank:
    """The rooms of models trained side by side; a model without one costs nothing.

    Args:
        weights: per model its numbers, a variable [2, bands], or None for no room.
        shape: of the clips.
    """

    def __init__(self, weights: Sequence[tf.Variable | None], *, shape: ClipShape) -> None:
        self._weights, self._shape = list(weights), shape
        sizes = {variable.shape[1] for variable in self._weights if variable is not None}
        self._noises = {size: _noises(size, shape) for size in sizes}

    def audio(self, dry: tf.Tensor, *, past: tf.Tensor) -> tf.Tensor:
        """The clips as heard in the rooms.

        Args:
            dry: float32 [models, clips, samples].
            past: float32 [clips, past samples], what rings on from before the clips.

        Returns:
            float32 [models, clips, samples].
        """
        if not self._noises:
            return dry
        models = zip(tf.unstack(dry), self._weights, strict=True)
        return tf.stack([clips if weights is None else self._wet(clips, weights, past) for clips, weights in models])

    def _wet(self, clips: tf.Tensor, weights: tf.Variable, past: tf.Tensor) -> tf.Tensor:
        noises = self._noises[weights.shape[1]]
        late = late_response(weights, noises, sample_rate_hz=self._shape.sample_rate_hz)
        return clips + _convolved(clips, late, past=past)


def late_response(weights: tf.Tensor, noises: tf.Tensor, *, sample_rate_hz: int) -> tf.Tensor:
    """The impulse response without the direct sound.

    Args:
        weights: float32 [2, bands], see `tinytimbre.synthesis.reverb.Reverb.from_weights`.
        noises: float32 [bands, samples] of `tinytimbre.synthesis.reverb.band_noises`, 0 at the first sample.

    Returns:
        float32 [samples].
    """
    levels, decays = _bounded(weights[0], LEVEL_RANGE), math.log(1000.0) / _bounded(weights[1], RT60_RANGE_SECS)
    seconds = (np.arange(noises.shape[1]) / sample_rate_hz).astype(np.float32)
    envelopes = (levels * tf.sqrt(2.0 * decays))[:, None] * tf.exp(-decays[:, None] * seconds)
    return tf.reduce_sum(envelopes * noises, axis=0)


def _bounded(x: tf.Tensor, limits: tuple[float, float]) -> tf.Tensor:
    low, high = limits
    return low * tf.exp(math.log(high / low) * tf.sigmoid(SLOPE * x))


def _noises(bands: int, shape: ClipShape) -> tf.Tensor:
    noises = band_noises(bands, sample_rate_hz=shape.sample_rate_hz)
    noises[:, 0] = 0.0
    return tf.constant(noises, tf.float32)


def _convolved(clips: tf.Tensor, response: tf.Tensor, *, past: tf.Tensor) -> tf.Tensor:
    """Clips [clips, samples] after their past with the response [n], as far as the clip goes."""
    before, samples = past.shape[1], clips.shape[1]
    size = convolution_size(samples, past=before, response=response.shape[0])
    spectra = tf.signal.rfft(tf.concat([past, clips], axis=1), [size])
    return tf.signal.irfft(spectra * tf.signal.rfft(response, [size]), [size])[:, before : before + samples]
