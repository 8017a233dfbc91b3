"""Decoders: sizes known beforehand, streaming equals whole, the GRU against Keras', its gradient against autodiff."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from tinytimbre.ddsp_door import import_ddsp
from tinytimbre.decoders import DecoderSpec, InputRange, build_decoder
from tinytimbre.decoders.base import exp_sigmoid
from tinytimbre.decoders.gru import gru_scan

SPECS = [
    DecoderSpec(kind="gru", input="loudness", harmonics=60, noise_bands=65, width=7),
    DecoderSpec(kind="gru", input="rms_energy", harmonics=20, noise_bands=9, width=32, depth=2),
    DecoderSpec(kind="cnn", input="loudness", harmonics=30, noise_bands=17, width=6, depth=8),
    DecoderSpec(kind="cnn", input="loudness", harmonics=60, noise_bands=65, width=16, depth=0, kernel_size=2),
]


@pytest.mark.parametrize("spec", SPECS)
def test_parameters_and_state_are_known_before_building(spec: DecoderSpec) -> None:
    decoder = build_decoder(spec)
    assert sum(weights.size for weights in decoder.get_weights().values()) == spec.parameters
    assert decoder.initial_state(3).shape == (3, spec.state_size)
    products = [weights.size for name, weights in decoder.get_weights().items() if name.endswith("kernel")]
    assert sum(products) == spec.macs_per_frame
    assert spec.mflops(frame_rate_hz=50) == pytest.approx(2e-6 * sum(products) * 50)


@pytest.mark.parametrize("spec", SPECS)
def test_a_room_adds_its_numbers_and_changes_nothing_else(spec: DecoderSpec) -> None:
    with_room = DecoderSpec.model_validate({**spec.model_dump(), "reverb_bands": 5})
    dry, roomy = build_decoder(spec, seed=3), build_decoder(with_room, seed=3)
    weights = roomy.get_weights()
    assert weights.pop("reverb").shape == (2, 5)
    assert weights.keys() == dry.get_weights().keys()
    assert all(np.array_equal(weights[name], value) for name, value in dry.get_weights().items())
    assert sum(value.size for value in roomy.get_weights().values()) == with_room.parameters == spec.parameters + 10
    assert with_room.mflops(frame_rate_hz=50) == spec.mflops(frame_rate_hz=50)
    assert (dry.reverb, spec.reverb_mflops(sample_rate_hz=16_000)) == (None, 0.0)
    assert with_room.reverb_mflops(sample_rate_hz=16_000) > 0
    assert with_room.without_reverb() == spec


def test_no_room_leaves_no_trace_in_what_is_written() -> None:
    for spec in SPECS:
        assert "reverb_bands" not in spec.model_dump()
        assert DecoderSpec.model_validate_json(spec.model_dump_json()) == spec
    roomy = SPECS[0].model_copy(update={"reverb_bands": 3})
    assert DecoderSpec.model_validate_json(roomy.model_dump_json()) == roomy


def test_published_sizes() -> None:
    """Sizes from 1,000 parameters to several million are within reach of one specification."""
    common = {"input": "loudness", "harmonics": 60, "noise_bands": 65}
    assert DecoderSpec(kind="cnn", width=5, depth=3, **common).parameters < 1_300
    assert DecoderSpec(kind="gru", width=1024, depth=2, **common).parameters > 5_000_000


@pytest.mark.parametrize("spec", SPECS)
def test_streaming_equals_whole(spec: DecoderSpec) -> None:
    decoder = build_decoder(spec, seed=3)
    inputs = tf.constant(np.random.default_rng(0).uniform(0, 1, (2, 150, 2)), tf.float32)
    state, frames = decoder.initial_state(2), []
    for frame in range(150):
        controls, state = decoder.step(inputs[:, frame], state)
        frames.append(controls)
    whole = decoder(inputs).numpy()
    assert whole.shape == (2, 150, spec.n_controls)
    # The same float32 operations in products of another shape: rounding only, relative to each control.
    np.testing.assert_allclose(np.stack(frames, axis=1), whole, rtol=2e-4, atol=1e-9)


@pytest.mark.parametrize("spec", SPECS)
def test_blocks_equal_steps(spec: DecoderSpec) -> None:
    decoder = build_decoder(spec, seed=3)
    inputs = tf.constant(np.random.default_rng(0).uniform(0, 1, (1, 90, 2)), tf.float32)
    state, blocks = decoder.initial_state(1), []
    # Shorter and longer than a convolution reaches back.
    for start, stop in ((0, 7), (7, 8), (8, 90)):
        controls, state = decoder.block(inputs[0, start:stop], state)
        blocks.append(controls)
    stepped = decoder.initial_state(1)
    for frame in range(90):
        _, stepped = decoder.step(inputs[:, frame], stepped)
    # The same float32 operations in products of another shape: rounding only, relative to each control.
    np.testing.assert_allclose(np.concatenate(blocks), decoder(inputs)[0].numpy(), rtol=2e-4, atol=1e-9)
    np.testing.assert_allclose(state, stepped, rtol=2e-4, atol=1e-6)


@pytest.mark.parametrize("spec", SPECS)
def test_a_frame_depends_on_the_past_only(spec: DecoderSpec) -> None:
    decoder = build_decoder(spec)
    inputs = np.random.default_rng(1).uniform(0, 1, (1, 40, 2)).astype(np.float32)
    changed = inputs.copy()
    changed[:, 25:] += 0.3
    before, after = decoder(tf.constant(inputs)).numpy(), decoder(tf.constant(changed)).numpy()
    np.testing.assert_array_equal(before[:, :25], after[:, :25])
    assert not np.allclose(before[:, 25:], after[:, 25:])


def test_gru_equals_keras() -> None:
    layer = tf_keras.layers.GRU(12, return_sequences=True)
    inputs = tf.constant(np.random.default_rng(2).normal(size=(3, 30, 5)), tf.float32)
    expected = layer(inputs)
    kernel, recurrent, bias = (weight + 0.1 for weight in layer.weights)
    layer.set_weights([kernel, recurrent, bias])
    expected = layer(inputs)
    ours = gru_scan(inputs, tf.concat([kernel, bias[:1]], axis=0), recurrent, bias[1])
    # 30 steps of float32 in another order of summation.
    np.testing.assert_allclose(ours, expected, atol=2e-6)


def test_gru_gradient_equals_keras() -> None:
    layer = tf_keras.layers.GRU(8, return_sequences=True)
    inputs = tf.constant(np.random.default_rng(2).normal(size=(3, 30, 5)), tf.float32)
    weighting = tf.constant(np.random.default_rng(3).normal(size=(3, 30, 8)), tf.float32)
    layer(inputs)
    kernel, recurrent, bias = (tf.constant(weight) for weight in layer.get_weights())
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(inputs) * weighting)
    expected = tape.gradient(loss, layer.trainable_variables)
    with tf.GradientTape() as tape:
        tape.watch([kernel, recurrent, bias])
        hidden = gru_scan(inputs, tf.concat([kernel, bias[:1]], axis=0), recurrent, bias[1])
        loss = tf.reduce_sum(hidden * weighting)
    for ours, theirs in zip(tape.gradient(loss, [kernel, recurrent, bias]), expected, strict=True):
        # Sums of 90 float32 terms in another order, relative to the largest entry.
        np.testing.assert_allclose(ours, theirs, atol=1e-5 * float(tf.reduce_max(tf.abs(theirs))))


def test_exp_sigmoid_equals_ddsp() -> None:
    x = tf.linspace(-20.0, 20.0, 401)
    np.testing.assert_allclose(exp_sigmoid(x), import_ddsp().core.exp_sigmoid(x), rtol=1e-5)


def test_weights_survive_and_wrong_ones_are_refused() -> None:
    source, target = build_decoder(SPECS[1], seed=1), build_decoder(SPECS[1], seed=2)
    target.set_weights(source.get_weights())
    inputs = tf.ones([1, 5, 2])
    np.testing.assert_array_equal(source(inputs), target(inputs))
    with pytest.raises(ValueError, match="shape"):
        target.set_weights({**source.get_weights(), "head_bias": np.zeros(3, np.float32)})
    with pytest.raises(ValueError, match="weights must be"):
        target.set_weights({"head_bias": np.zeros(3, np.float32)})


def test_input_range_standardises_the_first_layer() -> None:
    rng = np.random.default_rng(0)
    inputs = rng.normal([0.7, 0.9], [0.01, 0.2], (500, 2)).astype(np.float32)
    found = InputRange.of(inputs)
    assert found.center == pytest.approx((0.7, 0.9), abs=0.05)
    assert found.spread[0] == pytest.approx(0.02), "a single note must not blow up the weights"
    weights = build_decoder(SPECS[2], input_range=found).get_weights()
    projected = inputs @ weights["input_kernel"] + weights["input_bias"]
    assert abs(float(projected.mean())) < 0.1


@pytest.mark.parametrize("spec", SPECS)
def test_a_view_takes_the_place_of_the_weights_and_lets_gradients_through(spec: DecoderSpec) -> None:
    decoder, plain = build_decoder(spec, seed=1), build_decoder(spec, seed=1)
    plain.set_weights({name: np.round(value, 1) for name, value in plain.get_weights().items()})
    before = decoder.get_weights()
    decoder.compute_through(lambda _, value: value + tf.stop_gradient(tf.round(value * 10) / 10 - value))
    inputs = tf.constant(np.random.default_rng(0).uniform(0, 1, (1, 12, 2)), tf.float32)
    with tf.GradientTape() as tape:
        controls = decoder(inputs)
    # NumPy and TensorFlow round tenths to floats that differ in the last bit.
    np.testing.assert_allclose(controls, plain(inputs), rtol=1e-4)
    gradients = tape.gradient(controls, list(decoder.weights.values()))
    assert all(gradient is not None for gradient in gradients)
    for name, value in decoder.get_weights().items():
        np.testing.assert_array_equal(value, before[name])
