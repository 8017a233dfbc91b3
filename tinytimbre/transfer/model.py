"""What transfer needs of a published model, and its decoder as a stream."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import TYPE_CHECKING

import numpy as np

from tinytimbre.features.statistics import InstrumentStatistics

if TYPE_CHECKING:
    from tinytimbre.decoders import Decoder


@dataclasses.dataclass(frozen=True)
class TransferModel:
    """A decoder with the facts of its bundle that synthesis and transfer depend on."""

    decoder: Decoder
    statistics: InstrumentStatistics
    hop: int
    sample_rate_hz: int
    noise_seed: int = 0

    @property
    def frame_rate_hz(self) -> float:
        """Control frames a second."""
        return self.sample_rate_hz / self.hop

    @classmethod
    def load(cls, model_dir: str | pathlib.Path) -> TransferModel:
        """Reads a published model.

        Raises:
            TinyTimbreError: no model there, or a damaged one.
        """
        from tinytimbre.export.bundle import load_bundle

        bundle = load_bundle(pathlib.Path(model_dir))
        settings = bundle.settings
        return cls(
            decoder=bundle.decoder,
            statistics=settings.statistics,
            hop=settings.hop,
            sample_rate_hz=settings.sample_rate_hz,
            noise_seed=settings.noise_seed,
        )


class DecoderStream:
    """A decoder that takes frames in blocks and carries its state; the cuts do not matter."""

    def __init__(self, decoder: Decoder) -> None:
        import tensorflow as tf

        def run(inputs: tf.Tensor, state: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            count = tf.shape(inputs)[0]
            controls = tf.TensorArray(tf.float32, size=count)

            def body(index: tf.Tensor, state: tf.Tensor, controls: tf.TensorArray) -> tuple:
                frame, state = decoder.step(inputs[index][tf.newaxis], state)
                return index + 1, state, controls.write(index, frame[0])

            _, state, controls = tf.while_loop(lambda index, *_: index < count, body, (0, state, controls))
            return controls.stack(), state

        shapes = [tf.TensorSpec([None, 2]), tf.TensorSpec([1, decoder.spec.state_size])]
        # One concrete graph: a fresh tf.function per stream would warn of retracing after a few files.
        self._run = tf.function(run, input_signature=shapes, autograph=False).get_concrete_function()
        self._state = decoder.initial_state(1)
        self._n_controls = decoder.spec.n_controls

    def decode(self, inputs: np.ndarray) -> np.ndarray:
        """Controls float32 [T, C] of the next frames, inputs float32 [T, 2]."""
        if len(inputs) == 0:
            return np.zeros((0, self._n_controls), np.float32)
        controls, self._state = self._run(inputs, self._state)
        return controls.numpy()
