"""The two doors to stacks that were not made for this TensorFlow: an upstream change that shuts one fails here."""

from __future__ import annotations

import importlib.util
import os
import sys

import numpy as np
import pytest
import tensorflow as tf

from tinytimbre import ddsp_door
from tinytimbre.ddsp_door import import_ddsp, import_ddsp_training, use_legacy_keras
from tinytimbre.errors import TinyTimbreError


def test_ddsp_harmonic_makes_the_sine_that_it_is_told_to():
    ddsp = import_ddsp()
    harmonic = ddsp.synths.Harmonic(n_samples=1600, sample_rate=16_000, scale_fn=None, amp_resample_method="linear")
    audio = harmonic(tf.ones([1, 10, 1]), tf.ones([1, 10, 1]), tf.fill([1, 10, 1], 440.0)).numpy()[0]
    # ddsp's phase starts with the first increment, not with 0.
    expected = np.sin(2 * np.pi * 440 * np.arange(1, 1601) / 16_000)
    # ddsp accumulates phase in float32: 0.003 rad off after these 1600 samples, growing.
    np.testing.assert_allclose(audio, expected, atol=0.01)


def test_ddsp_filtered_noise_is_noise_of_the_asked_length():
    ddsp = import_ddsp()
    noise = ddsp.synths.FilteredNoise(n_samples=1600, window_size=0)
    audio = noise(tf.zeros([2, 10, 65])).numpy()
    assert audio.shape == (2, 1600)
    assert 0 < audio.std() < 1


def test_ddsp_spectral_loss_is_zero_for_equals_and_has_gradients():
    ddsp = import_ddsp()
    loss = ddsp.losses.SpectralLoss(fft_sizes=(512, 128), mag_weight=1.0, logmag_weight=1.0)
    rng = np.random.default_rng(0)
    target = tf.constant(rng.normal(size=[1, 2000]), tf.float32)
    assert float(loss(target, target)) == 0.0
    audio = tf.Variable(target * 0.5)
    with tf.GradientTape() as tape:
        value = loss(target, audio)
    assert float(value) > 0.1
    assert np.isfinite(tape.gradient(value, audio).numpy()).all()


def test_ddsp_spectral_ops_compute_loudness():
    ddsp = import_ddsp()
    tone = np.sin(2 * np.pi * 1000 * np.arange(16_000) / 16_000).astype(np.float32)
    loudness = ddsp.spectral_ops.compute_loudness(tone, sample_rate=16_000, frame_rate=50)
    assert np.asarray(loudness).shape[-1] in (50, 51)


def test_a_ddsp_decoder_runs_on_legacy_keras():
    training = import_ddsp_training()
    decoder = training.decoders.RnnFcDecoder(
        rnn_channels=8,
        ch=8,
        layers_per_stack=1,
        input_keys=("ld_scaled", "f0_scaled"),
        output_splits=(("amps", 1), ("harmonic_distribution", 60), ("noise_magnitudes", 65)),
    )
    controls = decoder({"ld_scaled": tf.zeros([1, 5, 1]), "f0_scaled": tf.zeros([1, 5, 1])})
    assert controls["harmonic_distribution"].shape == [1, 5, 60]
    assert len(decoder.trainable_variables) > 0


def test_only_what_is_absent_is_a_stub():
    import_ddsp_training()
    for name in ("hypertune", "note_seq", "pydub", "tensorflow_datasets", "mir_eval"):
        assert importlib.util.find_spec(name) is not None, f"{name} is in the lock and must be real"
    if "crepe" in sys.modules and sys.modules["crepe"].__spec__.loader is None:
        assert ddsp_door.STUBBED == ("crepe",)


def test_too_late_for_legacy_keras_is_a_clear_error(monkeypatch):
    monkeypatch.delenv(ddsp_door.LEGACY_KERAS)
    with pytest.raises(TinyTimbreError, match="before TensorFlow is imported"):
        use_legacy_keras()


def test_legacy_keras_is_chosen_in_time(monkeypatch):
    monkeypatch.setenv(ddsp_door.LEGACY_KERAS, "0")
    monkeypatch.delitem(sys.modules, "tensorflow")
    use_legacy_keras()
    assert os.environ[ddsp_door.LEGACY_KERAS] == "1"


def test_tensorflowjs_has_what_the_converter_calls():
    from tinytimbre.export import converter

    assert callable(converter._tensorflowjs("converters.tf_saved_model_conversion_v2").convert_tf_frozen_model)
    assert callable(converter._tensorflowjs("write_weights").write_weights)
    assert callable(converter._tensorflowjs("read_weights").read_weights)
    assert "jax" not in sys.modules
    assert "tensorflow_decision_forests" not in sys.modules
