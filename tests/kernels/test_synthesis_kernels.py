"""Harmonics and filtered noise, and their gradients, against the plain formulas and TensorFlow's differentiation."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow as tf

from tinytimbre.synthesis import noise, oscillators
from tinytimbre.synthesis.batched import ClipShape, NoiseBank, harmonic_audio

MODELS = 3


@pytest.mark.parametrize(("clips", "frames", "hop", "count"), [(2, 5, 320, 13), (8, 4, 100, 60), (17, 3, 64, 4)])
def test_harmonics_and_their_gradient(clips: int, frames: int, hop: int, count: int) -> None:
    rng = np.random.default_rng(hop)
    shape = ClipShape(clips=clips, frames=frames, hop=hop, sample_rate_hz=16_000)
    cycles = rng.random((clips, shape.samples)).astype(np.float32)
    f0_hz = rng.uniform(150, 4_000, cycles.shape).astype(np.float32)
    amplitudes = tf.Variable(rng.random((MODELS, clips, frames, count)).astype(np.float32))
    upstream = rng.normal(size=(MODELS, clips, shape.samples)).astype(np.float32)

    def plain() -> tf.Tensor:
        numbers = np.arange(1, count + 1)
        sines = np.sin(2 * math.pi * cycles.astype(np.float64)[..., None] * numbers)
        sines = np.where(numbers < 8_000 / f0_hz[..., None], sines, 0).reshape(clips, frames, hop, count)
        falling, rising = oscillators.hann_ramps(hop)
        following = tf.concat([amplitudes[:, :, 1:], amplitudes[:, :, -1:]], axis=2)
        ends = tf.cast(tf.stack([amplitudes, following]), tf.float64)
        both = tf.einsum("cfnh,emcfh->emcfn", sines, ends)
        return tf.reshape(both[0] * falling + both[1] * rising, upstream.shape)

    with tf.GradientTape(persistent=True) as tape:
        ours = harmonic_audio(amplitudes, tf.constant(cycles), tf.constant(f0_hz), shape=shape)
        expected = plain()
        scores = tf.reduce_sum(ours * upstream), tf.reduce_sum(expected * upstream)
    # Harmonic h is off by up to h roundings of 6e-8: 1.1e-4 for the sum of sixty at full amplitude.
    np.testing.assert_allclose(ours, expected, atol=1.1e-4)
    gradients = [tape.gradient(score, amplitudes).numpy() for score in scores]
    np.testing.assert_allclose(gradients[0], gradients[1], atol=3e-5 * np.abs(gradients[1]).max())


@pytest.mark.parametrize(("clips", "frames", "hop", "bands"), [(2, 5, 320, (65, 9, 3)), (8, 6, 64, (65, 65, 33))])
def test_noise_and_its_gradient(clips: int, frames: int, hop: int, bands: tuple[int, ...]) -> None:
    rng = np.random.default_rng(hop)
    shape = ClipShape(clips=clips, frames=frames, hop=hop, sample_rate_hz=16_000)
    white = rng.uniform(-1, 1, (clips, frames, hop)).astype(np.float32)
    magnitudes = [tf.Variable(rng.random((clips, frames, count)).astype(np.float32)) for count in bands]
    upstream = rng.normal(size=(len(bands), clips, shape.samples)).astype(np.float32)
    with tf.GradientTape(persistent=True) as tape:
        ours = NoiseBank(list(bands), shape=shape).audio(list(magnitudes), tf.constant(white))
        expected = tf.stack([_plain_noise(values, white, hop=hop) for values in magnitudes])
        scores = tf.reduce_sum(ours * upstream), tf.reduce_sum(tf.cast(expected, tf.float32) * upstream)
    # float32 transforms of up to 512 points against float64.
    np.testing.assert_allclose(ours, expected, atol=2e-6)
    for values in magnitudes:
        gradients = [tape.gradient(score, values).numpy() for score in scores]
        np.testing.assert_allclose(gradients[0], gradients[1], atol=1e-5 * np.abs(gradients[1]).max())


def _plain_noise(magnitudes: tf.Variable, white: np.ndarray, *, hop: int) -> tf.Tensor:
    """Each frame through its gains in float64 and overlapped: the definition in `noise`, differentiable."""
    _, frames, bands = magnitudes.shape
    size = noise.fft_size(bands, hop=hop)
    spectra = noise.noise_spectra(white.astype(np.float64), noise_bands=bands, size=size)
    gains = tf.matmul(tf.cast(magnitudes, tf.float64), noise.gain_matrix(bands, size=size).astype(np.float64))
    filtered = tf.signal.irfft(tf.cast(gains, tf.complex128) * spectra, [size])
    total = sum(
        tf.pad(filtered[:, frame], [[0, 0], [frame * hop, (frames - 1 - frame) * hop]]) for frame in range(frames)
    )
    start = noise.delay_samples(bands)
    return total[:, start : start + frames * hop]
