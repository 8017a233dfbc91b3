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
    """Adam (Kingma and Ba 2015) over one model's variables, with everything needed to resume it."""

    def __init__(self, variables: dict[str, tf.Variable], *, clip_norm: float) -> None:
        self._variables = variables
        self._clip_norm = clip_norm
        self._first = {name: tf.Variable(tf.zeros_like(value)) for name, value in variables.items()}
        self._second = {name: tf.Variable(tf.zeros_like(value)) for name, value in variables.items()}
        self._average = {name: tf.Variable(value) for name, value in variables.items()}

    def apply(self, gradients: list[tf.Tensor], *, learning_rate: tf.Tensor, step: tf.Tensor) -> None:
        """One update; `gradients` in the variables' order, `step` counts from 0 (float32)."""
        clipped, _ = tf.clip_by_global_norm(gradients, self._clip_norm)
        # Early on the average follows the weights, later it spans about 1 / (1 - decay) steps.
        keep = tf.minimum(AVERAGE_DECAY, (1.0 + step) / (10.0 + step))
        for name, gradient in zip(self._variables, clipped, strict=True):
            variable = self._variables[name]
            tf.raw_ops.ResourceApplyAdam(
                var=variable.handle,
                m=self._first[name].handle,
                v=self._second[name].handle,
                beta1_power=BETA1 ** (step + 1.0),
                beta2_power=BETA2 ** (step + 1.0),
                lr=learning_rate,
                beta1=BETA1,
                beta2=BETA2,
                epsilon=EPSILON,
                grad=gradient,
            )
            self._average[name].assign_add((1.0 - keep) * (variable - self._average[name]))

    def averaged_weights(self) -> dict[str, np.ndarray]:
        """The running average, float32, by name."""
        return {name: value.numpy() for name, value in self._average.items()}

    def state(self) -> dict[str, np.ndarray]:
        """Weights, moments and average under flat names."""
        return {f"{part}/{name}": value.numpy() for part, name, value in self._parts()}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Inverse of `state`."""
        for part, name, value in self._parts():
            value.assign(state[f"{part}/{name}"])

    def _parts(self) -> list[tuple[str, str, tf.Variable]]:
        parts = {"weights": self._variables, "first": self._first, "second": self._second, "average": self._average}
        return [(part, name, value) for part, values in parts.items() for name, value in values.items()]
