"""Teacher to student: how far one decoder's controls are from another's, and the step that brings them closer.

    distiller = Distiller(teacher, students=group.decoders, optimisers=group.optimisers, ...)
    distances = distiller.train_step(pool.training_batch(seed=0, step=0), step=0)

Decoders whose numbers of harmonics and noise bands differ cannot be compared control by control, so both are taken
to what the synthesiser does with them: the amplitude ``a`` of every harmonic and the magnitude ``m`` of every noise
band. With the floor F = 1e-4 the distance in one frame is, in nepers,

    mean over harmonics below Nyquist of |ln(a' + F) - ln(a + F)|  +  mean over noise bands of |ln(m' + F) - ln(m + F)|

over the harmonics and bands of the student: what the teacher lacks is silence, what it has beyond them no student
could learn. The teacher's noise is taken to the student's bands by powers. A frame weighs ``p / (p + S)``, where
``p = sum(a ** 2) / 2 + mean(m ** 2) / 3`` is the power of the teacher's sound (its noise is uniform in [-1, 1), of
variance 1/3) and S = 1e-6: frames below -60 dB of full scale fade out, silence between notes does not count.

No sound is made and no spectrum taken, so a step costs the decoders alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tinytimbre.decoders import Decoder
from tinytimbre.synthesis.batched import ClipShape, SoundControls
from tinytimbre.training.clips import Batch
from tinytimbre.training.group import sound_of
from tinytimbre.training.optimiser import Adam, learning_rate_at

FLOOR = 1e-4
"""Added before logarithms, -80 dB of full scale: smooth, so that a harmonic that is too quiet still learns."""

SILENCE_POWER = 1e-6
NOISE_POWER = 1 / 3


def control_distance(
    student: SoundControls, teacher: SoundControls, *, f0_hz: tf.Tensor, sample_rate_hz: int
) -> tf.Tensor:
    """Weighted mean over frames of the distance that the module defines.

    Args:
        student: differentiable.
        teacher: of the same clips; numbers of harmonics and noise bands may differ.
        f0_hz: float32 [clips, frames].
        sample_rate_hz: of the synthesiser, for its Nyquist frequency.

    Returns:
        float32 scalar in nepers, at least 0.
    """
    count, bands = student.amplitudes.shape[-1], student.magnitudes.shape[-1]
    numbers = tf.range(1, count + 1, dtype=tf.float32)
    audible = tf.cast(f0_hz[..., None] * numbers < sample_rate_hz / 2, tf.float32)
    harmonic = _log_difference(student.amplitudes, _fitted(teacher.amplitudes, count)) * audible
    harmonic = tf.reduce_sum(harmonic, axis=-1) / tf.maximum(tf.reduce_sum(audible, axis=-1), 1.0)
    noise = tf.reduce_mean(_log_difference(student.magnitudes, _resampled(teacher.magnitudes, bands)), axis=-1)
    weights = _frame_weights(teacher)
    # An all but silent batch teaches nothing; the bound only keeps it from dividing by zero.
    return tf.reduce_sum(weights * (harmonic + noise)) / tf.maximum(tf.reduce_sum(weights), 1e-3)


class Distiller:
    """Trains models on the controls of one teacher, which are computed once per batch and shared by all.

    Args:
        teacher: with the weights it is to teach.
        students: the models.
        optimisers: of the students.
        learning_rates: peak of each student's schedule.
        total_steps: where the schedule ends, later steps on audio included.
        shape: of the batches.
    """

    def __init__(
        self,
        teacher: Decoder,
        *,
        students: Sequence[Decoder],
        optimisers: Sequence[Adam],
        learning_rates: Sequence[float],
        total_steps: int,
        shape: ClipShape,
    ) -> None:
        self._teacher, self._students, self._optimisers = teacher, list(students), list(optimisers)
        self._rates, self._total_steps, self._shape = list(learning_rates), total_steps, shape
        self._compiled_step = tf.function(self._step, autograph=False)

    def train_step(self, batch: Batch, *, step: int) -> np.ndarray:
        """One update of every student; returns the control distances before it, float32 [students]."""
        rates = [learning_rate_at(step, peak=peak, total_steps=self._total_steps) for peak in self._rates]
        inputs = {str(kind): tf.constant(values) for kind, values in batch.inputs.items()}
        rates_now = tf.constant(rates, tf.float32)
        return self._compiled_step(inputs, tf.constant(batch.f0_hz), rates_now, tf.constant(float(step))).numpy()

    def _step(self, inputs: dict[str, tf.Tensor], f0_hz: tf.Tensor, rates: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
        teacher = sound_of(self._teacher, inputs, f0_hz, shape=self._shape)
        with tf.GradientTape() as tape:
            distances = [self._distance(student, teacher, inputs, f0_hz) for student in self._students]
        # The students share no variable, so the gradient of the sum is each student's own gradient.
        weights = [list(student.weights.values()) for student in self._students]
        # A room is no part of the controls, so they say nothing about it.
        gradients = tape.gradient(distances, weights, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        for index, optimiser in enumerate(self._optimisers):
            optimiser.apply(gradients[index], learning_rate=rates[index], step=step)
        return tf.stack(distances)

    def _distance(
        self, student: Decoder, teacher: SoundControls, inputs: dict[str, tf.Tensor], f0_hz: tf.Tensor
    ) -> tf.Tensor:
        sound = sound_of(student, inputs, f0_hz, shape=self._shape)
        return control_distance(sound, teacher, f0_hz=f0_hz, sample_rate_hz=self._shape.sample_rate_hz)


def _log_difference(student: tf.Tensor, teacher: tf.Tensor) -> tf.Tensor:
    return tf.abs(tf.math.log(student + FLOOR) - tf.math.log(teacher + FLOOR))


def _fitted(amplitudes: tf.Tensor, harmonics: int) -> tf.Tensor:
    """Cut off, or continued with silence."""
    missing = max(0, harmonics - amplitudes.shape[-1])
    return tf.pad(amplitudes[..., :harmonics], [[0, 0], [0, 0], [0, missing]])


def _resampled(magnitudes: tf.Tensor, bands: int) -> tf.Tensor:
    if magnitudes.shape[-1] == bands:
        return magnitudes
    return tf.sqrt(tf.matmul(tf.square(magnitudes), band_matrix(magnitudes.shape[-1], bands)))


def band_matrix(given: int, wanted: int) -> np.ndarray:
    """Weights that take powers at `given` frequencies to `wanted` ones, both equally spaced from 0 to Nyquist.

    Triangles as wide as the wider spacing on either side: linear interpolation towards more bands, a smooth mean
    towards fewer.

    Returns:
        float32 [given, wanted], columns sum to 1.
    """
    distance = np.abs(np.linspace(0, 1, given)[:, None] - np.linspace(0, 1, wanted))
    weights = np.maximum(0.0, 1.0 - distance * (min(given, wanted) - 1))
    return (weights / weights.sum(axis=0)).astype(np.float32)


def _frame_weights(teacher: SoundControls) -> tf.Tensor:
    """[clips, frames] in [0, 1)."""
    tones = tf.reduce_sum(tf.square(teacher.amplitudes), axis=-1) / 2
    power = tones + NOISE_POWER * tf.reduce_mean(tf.square(teacher.magnitudes), axis=-1)
    return power / (power + SILENCE_POWER)
