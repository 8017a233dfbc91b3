"""What every decoder can do, and the factory that builds one from its specification.

    decoder = build_decoder(DecoderSpec(kind="cnn", input="loudness", harmonics=60, noise_bands=65, width=16, depth=4))
    controls = decoder(inputs)                    # [batch, frames, 2] -> [batch, frames, controls]
    frame, state = decoder.step(inputs[:, 0], decoder.initial_state(1))

Both forms are the same function: running `step` over the frames gives what the call gives.
"""

from __future__ import annotations

import abc
import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import tensorflow as tf

from tinytimbre.decoders.spec import N_INPUTS, DecoderSpec
from tinytimbre.synthesis.reverb import Reverb, initial_weights

View = Callable[[str, tf.Variable], tf.Tensor]

# Biases of the head before training, in the units of exp_sigmoid's input. -2 gives 0.018, a usual level of a
# played note; -5 is ddsp's own start for noise (its FilteredNoise has initial_bias=-5).
AMPLITUDE_BIAS = -2.0
NOISE_BIAS = -5.0
# Harmonics start with a slope of about -12 dB per octave of index, as most instruments have.
HARMONIC_SLOPE = -0.9
# The one weight that is no part of the decoder's graph: the room behind the synthesiser.
REVERB = "reverb"


@dataclasses.dataclass(frozen=True)
class InputRange:
    """Centre and spread of the two scaled inputs; folded into the first layer's starting weights.

    Inputs of one instrument fill a small part of [0, 1]. Starting as if they were standardised makes small
    decoders learn several times faster, and costs nothing at inference.
    """

    center: tuple[float, float] = (0.5, 0.6)
    spread: tuple[float, float] = (0.1, 0.2)

    @classmethod
    def of(cls, inputs: np.ndarray) -> InputRange:
        """Mean and standard deviation of inputs [frames, 2], with a floor on the spread."""
        center, spread = inputs.mean(axis=0), np.maximum(inputs.std(axis=0), 0.02)
        return cls(center=(float(center[0]), float(center[1])), spread=(float(spread[0]), float(spread[1])))


def exp_sigmoid(x: tf.Tensor) -> tf.Tensor:
    """``2 * sigmoid(x) ** ln(10) + 1e-7``, ddsp's positive output scale (ddsp/core.py, exp_sigmoid)."""
    return 2.0 * tf.sigmoid(x) ** math.log(10.0) + 1e-7


class _Viewed(Mapping[str, tf.Tensor]):
    """Weights as a view shows them, each made where it is used."""

    def __init__(self, variables: Mapping[str, tf.Variable], view: View) -> None:
        self._variables, self._view = variables, view

    def __getitem__(self, name: str) -> tf.Tensor:
        return self._view(name, self._variables[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._variables)

    def __len__(self) -> int:
        return len(self._variables)


@tf.custom_gradient
def trained_exp_sigmoid(x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
    """`exp_sigmoid` for training: the derivative from the value, and powers by logarithms, which takes a third."""
    sigmoid = tf.sigmoid(x)
    power = 2.0 * tf.exp(math.log(10.0) * tf.math.log(sigmoid))
    return power + 1e-7, lambda upstream: upstream * power * (math.log(10.0) * (1.0 - sigmoid))


class Decoder(tf.Module, abc.ABC):
    """A streaming decoder; subclasses give the body, this class the head and the weights' access."""

    def __init__(self, spec: DecoderSpec, *, seed: int, input_range: InputRange) -> None:
        super().__init__(name="decoder")
        self.spec = spec
        self._rng = np.random.default_rng(seed)
        self._input_range = input_range
        self._trained: dict[str, tf.Variable] = {}
        self._view: View | None = None
        self._build_body()
        self._add("head_kernel", self._glorot(spec.width, spec.n_controls) * 0.5)
        self._add("head_bias", self._head_bias())
        if spec.reverb_bands:
            self._add(REVERB, initial_weights(spec.reverb_bands))

    @abc.abstractmethod
    def _build_body(self) -> None:
        """Creates the variables in front of the head."""

    @abc.abstractmethod
    def _features(self, inputs: tf.Tensor) -> tf.Tensor:
        """[batch, frames, 2] -> [batch * frames, width], starting from a zero state.

        Flat, because products of matrices are differentiated by a third of the operations that those of stacks take.
        """

    @abc.abstractmethod
    def _step_features(self, inputs: tf.Tensor, state: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """([batch, 2], [batch, state_size]) -> ([batch, width], [batch, state_size])."""

    @abc.abstractmethod
    def _block_features(self, inputs: tf.Tensor, state: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """([frames, 2], [1, state_size]) -> ([frames, width], [1, state_size]), unrolled."""

    def __call__(self, inputs: tf.Tensor) -> tf.Tensor:
        """Controls of whole sequences.

        Args:
            inputs: float32 [batch, frames, 2], see `tinytimbre.features.scaling.scale_inputs`.

        Returns:
            float32 [batch, frames, 1 + harmonics + noise_bands] in (0, 2]: amplitude, harmonics (neither
            normalised nor masked yet), noise magnitudes.
        """
        controls = trained_exp_sigmoid(self._head(self._features(inputs)))
        return tf.reshape(controls, [*inputs.shape[:2], self.spec.n_controls])

    def step(self, inputs: tf.Tensor, state: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """One frame: ([batch, 2], [batch, state_size]) -> (controls [batch, C], next state)."""
        features, next_state = self._step_features(inputs, state)
        return exp_sigmoid(self._head(features)), next_state

    def block(self, inputs: tf.Tensor, state: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """A fixed number of frames of one sequence without a loop, for graphs that must not have one.

        Args:
            inputs: float32 [frames, 2], frames known when the graph is made.
            state: float32 [1, state_size] after the frame before; `initial_state(1)` at the start.

        Returns:
            Controls [frames, C] and the state [1, state_size] after the last frame.
        """
        features, next_state = self._block_features(inputs, state)
        return exp_sigmoid(self._head(features)), next_state

    def initial_state(self, batch: int) -> tf.Tensor:
        """Zeros [batch, state_size]."""
        return tf.zeros([batch, self.spec.state_size])

    @property
    def weights(self) -> dict[str, tf.Variable]:
        """The trained variables by name."""
        return self._trained

    def compute_through(self, view: View) -> None:
        """Computes with what ``view(name, variable)`` gives in a weight's place, such as the rounded weight.

        `weights`, `get_weights` and `set_weights` stay those of the variables. Functions that were compiled before do
        not change.
        """
        self._view = view

    @property
    def _weights(self) -> Mapping[str, tf.Tensor]:
        """What the decoder computes with."""
        return self._trained if self._view is None else _Viewed(self._trained, self._view)

    @property
    def reverb(self) -> Reverb | None:
        """The room its sound is to be played in, as trained so far; None without one."""
        return Reverb.from_weights(self._trained[REVERB].numpy()) if self.spec.reverb_bands else None

    def get_weights(self) -> dict[str, np.ndarray]:
        """Copies of all weights, float32, by name."""
        return {name: variable.numpy() for name, variable in self._trained.items()}

    def set_weights(self, weights: dict[str, np.ndarray]) -> None:
        """Takes weights as `get_weights` gives them.

        Raises:
            ValueError: a name is missing, unknown, or has another shape.
        """
        if weights.keys() != self._trained.keys():
            raise ValueError(f"weights must be {sorted(self._trained)}, got {sorted(weights)}")
        for name, variable in self._trained.items():
            if tuple(weights[name].shape) != tuple(variable.shape):
                raise ValueError(f"{name} must have shape {tuple(variable.shape)}, got {weights[name].shape}")
            variable.assign(weights[name])

    def _head(self, features: tf.Tensor) -> tf.Tensor:
        return self._affine(features, "head")

    def _affine(self, x: tf.Tensor, layer: str) -> tf.Tensor:
        """``x W + b`` with the layer's kernel, flattened to as many columns as its bias has."""
        kernel, bias = self._weights[f"{layer}_kernel"], self._weights[f"{layer}_bias"]
        if kernel.shape.rank > 2:
            kernel = tf.reshape(kernel, [-1, kernel.shape[-1]])
        # The converter fuses a bias that is added as such; its gradient is one operation where a sum's are six.
        return tf.nn.bias_add(tf.matmul(x, kernel), bias)

    def _add(self, name: str, value: np.ndarray) -> None:
        self._trained[name] = tf.Variable(value.astype(np.float32), name=name)

    def _glorot(self, *shape: int) -> np.ndarray:
        """Uniform in +- sqrt(6 / (fan in + fan out)), Glorot and Bengio 2010."""
        receptive = math.prod(shape[:-2])
        limit = math.sqrt(6.0 / (receptive * (shape[-2] + shape[-1])))
        return self._rng.uniform(-limit, limit, size=shape)

    def _add_input_layer(self, prefix: str, units: int, kernel: np.ndarray) -> None:
        """A kernel [2, units] and bias that act on standardised inputs at the start of training."""
        center, spread = (np.array(values) for values in (self._input_range.center, self._input_range.spread))
        kernel = kernel / spread[:, None]
        self._add(f"{prefix}_kernel", kernel)
        self._add(f"{prefix}_bias", -center @ kernel)

    def _head_bias(self) -> np.ndarray:
        harmonics = HARMONIC_SLOPE * np.log(np.arange(1, self.spec.harmonics + 1))
        return np.concatenate([[AMPLITUDE_BIAS], harmonics, np.full(self.spec.noise_bands, NOISE_BIAS)])


def build_decoder(spec: DecoderSpec, *, seed: int = 0, input_range: InputRange | None = None) -> Decoder:
    """The decoder that `spec` describes, with weights drawn from `seed`."""
    from tinytimbre.decoders.cnn import CnnDecoder
    from tinytimbre.decoders.gru import GruDecoder

    kinds: dict[str, type[Decoder]] = {"gru": GruDecoder, "cnn": CnnDecoder}
    return kinds[spec.kind](spec, seed=seed, input_range=input_range or InputRange())


def input_kernel_shape(units: int) -> tuple[int, int]:
    """Shape of the first kernel."""
    return (N_INPUTS, units)
