"""The distance between controls against values worked out by hand, and students that close it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow as tf

from tinytimbre.decoders import DecoderSpec, build_decoder
from tinytimbre.features.examples import TakeFeatures
from tinytimbre.synthesis.batched import ClipShape, SoundControls
from tinytimbre.synthesis.batched import sound_controls as read
from tinytimbre.training.clips import ClipPool
from tinytimbre.training.distillation import FLOOR, Distiller, band_matrix, control_distance
from tinytimbre.training.optimiser import Adam

RATE = 16_000
SHAPE = ClipShape(clips=2, frames=20, hop=320, sample_rate_hz=RATE)


def sound(amplitudes: list[float], magnitudes: list[float], *, frames: int = 3) -> SoundControls:
    """The same in every frame of one clip."""
    return SoundControls(*(tf.tile(tf.constant([[values]]), [1, frames, 1]) for values in (amplitudes, magnitudes)))


def distance(student: SoundControls, teacher: SoundControls, *, f0_hz: float = 200.0) -> float:
    f0 = tf.fill(student.amplitudes.shape[:2], f0_hz)
    return float(control_distance(student, teacher, f0_hz=f0, sample_rate_hz=RATE))


def nepers(student: float, teacher: float) -> float:
    return abs(math.log((student + FLOOR) / (teacher + FLOOR)))


def test_equal_controls_have_no_distance() -> None:
    own = sound([0.3, 0.1, 0.02], [0.01, 0.002])
    assert distance(own, own) == 0.0


def test_harmonics_and_noise_are_compared_in_logarithms() -> None:
    found = distance(sound([0.2, 0.1], [0.01, 0.02, 0.03]), sound([0.1, 0.1], [0.01, 0.02, 0.06]))
    expected = nepers(0.2, 0.1) / 2 + nepers(0.03, 0.06) / 3
    assert found == pytest.approx(expected, rel=1e-5)  # float32


def test_what_the_teacher_lacks_is_silence_and_what_it_has_beyond_is_left_out() -> None:
    short, long = sound([0.2], [0.1, 0.1]), sound([0.2, 0.05], [0.1, 0.1])
    assert distance(long, short) == pytest.approx(nepers(0.05, 0) / 2, rel=1e-5)
    assert distance(short, long) == 0.0


def test_harmonics_above_nyquist_do_not_count() -> None:
    """At 5 kHz only the first of two lies below 8 kHz."""
    student, teacher = sound([0.2, 0.5], [0.1, 0.1]), sound([0.1, 0.001], [0.1, 0.1])
    assert distance(student, teacher, f0_hz=5000.0) == pytest.approx(nepers(0.2, 0.1), rel=1e-5)


def test_silent_frames_do_not_count() -> None:
    loud, silent = sound([0.1], [1e-3, 1e-3], frames=1), sound([1e-6], [1e-7, 1e-7], frames=1)
    off = sound([0.2], [1e-3, 1e-3], frames=1)
    joined = [
        SoundControls(tf.concat([a.amplitudes, b.amplitudes], 1), tf.concat([a.magnitudes, b.magnitudes], 1))
        for a, b in ((loud, off), (loud, silent))
    ]
    # The second frame of the student is far too loud, but the teacher is silent there, 60 dB below the threshold.
    assert distance(*joined) < 1e-4
    assert distance(sound([0.2], [1e-3, 1e-3], frames=1), silent) < 0.01  # no division by nothing


def test_amplitudes_are_what_is_played() -> None:
    """Overall amplitude times the distribution normalised below Nyquist: at 3 kHz two of three harmonics."""
    controls = tf.constant([[[0.5, 1.0, 3.0, 7.0, 0.2, 0.4]]])
    found = read(controls, tf.constant([[3000.0]]), harmonics=3, sample_rate_hz=RATE)
    np.testing.assert_allclose(found.amplitudes[0, 0], [0.125, 0.375, 0.0], rtol=1e-6)
    np.testing.assert_allclose(found.magnitudes[0, 0], [0.2, 0.4], rtol=1e-6)


@pytest.mark.parametrize(("given", "wanted"), [(65, 17), (17, 65), (9, 10)])
def test_noise_is_resampled_without_changing_a_flat_or_a_sloping_spectrum(given: int, wanted: int) -> None:
    matrix = band_matrix(given, wanted)
    np.testing.assert_allclose(np.ones(given) @ matrix, 1.0, rtol=1e-6)
    inner = slice(1, -1)  # at the ends a triangle has only one side
    sloping = np.linspace(0, 1, given) @ matrix
    np.testing.assert_allclose(sloping[inner], np.linspace(0, 1, wanted)[inner], atol=1e-6)


def test_more_bands_are_interpolated_linearly() -> None:
    powers = np.random.default_rng(0).random(9)
    expected = np.interp(np.linspace(0, 1, 33), np.linspace(0, 1, 9), powers)
    np.testing.assert_allclose(powers @ band_matrix(9, 33), expected, rtol=1e-5)


def test_the_gradient_is_that_of_finite_differences() -> None:
    rng = np.random.default_rng(1)
    controls = tf.Variable(rng.uniform(0.01, 0.5, size=(2, 4, 1 + 6 + 5)).astype(np.float32))
    f0 = tf.constant(rng.uniform(200, 3000, size=(2, 4)).astype(np.float32))
    other = tf.constant(rng.uniform(0.01, 0.5, size=(2, 4, 1 + 8 + 9)).astype(np.float32))
    teacher = read(other, f0, harmonics=8, sample_rate_hz=RATE)

    def value(at: tf.Tensor) -> tf.Tensor:
        own = read(at, f0, harmonics=6, sample_rate_hz=RATE)
        return control_distance(own, teacher, f0_hz=f0, sample_rate_hz=RATE)

    with tf.GradientTape() as tape:
        result = value(controls)
    gradient = tape.gradient(result, controls).numpy()
    direction = np.sign(gradient)
    step = 1e-4
    change = (value(controls + step * direction) - value(controls - step * direction)) / (2 * step)
    # Central differences in float32: rounding 1e-7 / 1e-4; the distance is smooth but for rare sign changes.
    assert float(change) == pytest.approx(float(np.sum(gradient * direction)), rel=2e-2)


def spec(kind: str, *, width: int, harmonics: int, noise_bands: int, level: str = "loudness") -> DecoderSpec:
    return DecoderSpec(kind=kind, input=level, harmonics=harmonics, noise_bands=noise_bands, width=width, depth=2)  # type: ignore[arg-type]


def pool() -> ClipPool:
    rng = np.random.default_rng(2)
    frames = 120
    f0_hz = (300 * 2 ** np.cumsum(rng.normal(0, 0.02, frames))).astype(np.float32)
    level = np.linspace(-50, -20, frames).astype(np.float32)
    take = TakeFeatures(
        recording_id="a",
        take_id="a",
        instrument="tone",
        audio=np.zeros(frames * SHAPE.hop, np.float32),
        f0_hz=f0_hz,
        f0_confidence=np.ones(frames, np.float32),
        loudness_db=level,
        rms_energy_db=level - 3,
    )
    return ClipPool([take], shape=SHAPE, warmup_frames=5)


def test_students_learn_what_the_teacher_plays_and_not_from_each_other() -> None:
    teacher = build_decoder(spec("gru", width=12, harmonics=16, noise_bands=17), seed=9)
    rng = np.random.default_rng(3)
    teacher.set_weights({k: v + rng.normal(0, 0.2, v.shape).astype("f") for k, v in teacher.get_weights().items()})
    specs = [
        spec("gru", width=6, harmonics=8, noise_bands=9, level="rms_energy"),
        spec("cnn", width=5, harmonics=20, noise_bands=17),
    ]

    def distances(indices: list[int], steps: int) -> np.ndarray:
        students = [build_decoder(specs[index], seed=index) for index in indices]
        distiller = Distiller(
            teacher,
            students=students,
            optimisers=[Adam(student.weights, clip_norm=3.0) for student in students],
            learning_rates=[0.01] * len(students),
            total_steps=200,
            shape=SHAPE,
        )
        return np.array([distiller.train_step(pool().training_batch(seed=0, step=s), step=s) for s in range(steps)])

    before = teacher.get_weights()
    together = distances([0, 1], 80)
    assert (together[-10:].mean(axis=0) < together[0] / 3).all()
    # Other sums in float32 than in a graph of one student; twenty steps of Adam amplify the rounding a little.
    np.testing.assert_allclose(distances([1], 20)[:, 0], together[:20, 1], rtol=1e-3)
    for name, weight in teacher.get_weights().items():
        np.testing.assert_array_equal(weight, before[name])
