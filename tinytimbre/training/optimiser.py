"""Adam with a gradient norm limit, and a running average of the weights.

The average (Polyak and Juditsky 1992) is what is validated and exported: it takes the noise of the last steps out, so
a trial that is stopped early at a high learning rate can be compared with one that is not.
"""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

BETA1, BETA2, EPSILON = 0.9, 0.99, 1e-7
AVERAGE_DECAY = 0.98
WARMUP_STEPS = 10
FINAL_SHARE = 0.1


def learning_rate_at(step: int, *, peak: float, total_steps: int) -> float:
    """Linear warm-up over the first steps, then half a cosine down to a tenth of the peak at `total_steps`."""
    warmup = min(1.0, (step + 1) / WARMUP_STEPS)
    cosine = 0.5 + 0.5 * math.cos(math.pi * min(1.0, step / total_steps))
    return peak * warmup * (FINAL_SHARE + (1 - FINAL_SHARE) * cosine)


class Adam:
    """Adam (Kingma and Ba 2015) over one model's variables, with everything needed to resume it.

    All weights are one vector here, so that an update is a dozen operations however many variables there are. The
    variables follow the vector after each update; between updates they may hold something else.
    """

    def __init__(self, variables: dict[str, tf.Variable], *, clip_norm: float) -> None:
        self._variables = variables
        self._clip_norm = clip_norm
        start = np.concatenate([variable.numpy().ravel() for variable in variables.values()])
        self._weights, self._average = tf.Variable(start), tf.Variable(start)
        self._first, self._second = (tf.Variable(np.zeros_like(start)) for _ in range(2))

    def apply(self, gradients: list[tf.Tensor], *, learning_rate: tf.Tensor, step: tf.Tensor) -> None:
        """One update; `gradients` in the variables' order, `step` counts from 0 (float32)."""
        gradient = tf.concat([tf.reshape(part, [-1]) for part in gradients], axis=0)
        gradient *= self._clip_norm / tf.maximum(tf.norm(gradient), self._clip_norm)
        tf.raw_ops.ResourceApplyAdam(
            var=self._weights.handle,
            m=self._first.handle,
            v=self._second.handle,
            beta1_power=BETA1 ** (step + 1.0),
            beta2_power=BETA2 ** (step + 1.0),
            lr=learning_rate,
            beta1=BETA1,
            beta2=BETA2,
            epsilon=EPSILON,
            grad=gradient,
        )
        # Early on the average follows the weights, later it spans about 1 / (1 - decay) steps.
        keep = tf.minimum(AVERAGE_DECAY, (1.0 + step) / (10.0 + step))
        self._average.assign_add((1.0 - keep) * (self._weights - self._average))
        self._hand_out()

    def averaged_weights(self) -> dict[str, np.ndarray]:
        """The running average, float32, by name."""
        sizes = [variable.shape.num_elements() for variable in self._variables.values()]
        parts = np.split(self._average.numpy(), np.cumsum(sizes)[:-1])
        variables = self._variables.items()
        return {name: part.reshape(variable.shape) for (name, variable), part in zip(variables, parts, strict=True)}

    def state(self) -> dict[str, np.ndarray]:
        """Weights, moments and average, float32 vectors."""
        return {name: value.numpy() for name, value in self._parts().items()}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Inverse of `state`."""
        for name, value in self._parts().items():
            value.assign(state[name])
        self._hand_out()

    def _hand_out(self) -> None:
        """Gives every variable its part of the vector."""
        variables = list(self._variables.values())
        parts = tf.split(self._weights, [variable.shape.num_elements() for variable in variables])
        for variable, part in zip(variables, parts, strict=True):
            variable.assign(tf.reshape(part, variable.shape))

    def _parts(self) -> dict[str, tf.Variable]:
        return {"weights": self._weights, "first": self._first, "second": self._second, "average": self._average}
