from __future__ import annotations

import importlib
import json
import sys

import numpy as np
import pytest
from exported_bundles import SPECS, spec_of, trained

from tinytimbre.decoders import DecoderSpec, build_decoder
from tinytimbre.export import graphs
from tinytimbre.export.bundle import read_tensors
from tinytimbre.export.graphs import convert_decoder

# Element-wise operations, products and slices: in every backend of TensorFlow.js 4.22 and easy to write by hand.
SIMPLE_OPS = {
    "Const", "Placeholder", "Identity", "_FusedMatMul", "MatMul", "BiasAdd", "AddV2", "Sub", "Mul", "Pow", "Sigmoid",
    "Tanh", "Relu", "Split", "SplitV", "StridedSlice", "Slice", "ConcatV2", "Reshape",
}  # fmt: skip


@pytest.mark.parametrize("name", SPECS)
def test_the_graph_is_one_static_step_with_named_ends(bundles, name):
    decoder, folder = bundles(name)
    model = json.loads((folder / "float32" / "model.json").read_text())
    nodes = {node["name"]: node for node in model["modelTopology"]["node"]}

    assert {node["op"] for node in nodes.values()} <= SIMPLE_OPS
    assert len(nodes) == len(model["modelTopology"]["node"]), "names are unique"
    assert {n for n, node in nodes.items() if node["op"] == "Placeholder"} == {"inputs", "state"}
    assert list(model["signature"]["inputs"]) == ["inputs", "state"]
    assert list(model["signature"]["outputs"]) == ["controls", "next_state"]
    sizes = [int(d["size"]) for d in nodes["state"]["attr"]["shape"]["shape"]["dim"]]
    assert sizes == [1, decoder.spec.state_size]
    listed = [tensor["name"] for tensor in model["weightsManifest"][0]["weights"]]
    assert sorted(listed) == sorted(n for n, node in nodes.items() if node["op"] == "Const")
    inputs = {text.lstrip("^").partition(":")[0] for node in nodes.values() for text in node.get("input", [])}
    assert inputs <= nodes.keys()


@pytest.mark.parametrize("name", SPECS)
def test_every_weight_keeps_its_name_and_values(bundles, name):
    decoder, folder = bundles(name)
    stored = read_tensors(folder / "float32")
    for weight, value in decoder.get_weights().items():
        np.testing.assert_array_equal(stored[weight].ravel(), value.ravel(), err_msg=weight)


def test_zero_and_equal_weights_survive():
    """The converter drops `x + 0` and merges equal tensors; both happen at the start of training."""
    spec = DecoderSpec(kind="cnn", input="rms_energy", harmonics=4, noise_bands=3, width=3, depth=3)
    decoder = build_decoder(spec, seed=0)
    decoder.set_weights({name: np.zeros_like(value) for name, value in decoder.get_weights().items()})
    graph = convert_decoder(decoder)
    assert list(graph.weights) == list(decoder.get_weights())
    assert sum(value.size for value in graph.weights.values()) == spec.parameters


def test_constants_appear_once(bundles):
    _, folder = bundles("cnn8")
    weights = bundles("cnn8")[0].get_weights()
    constants = {n: v for n, v in read_tensors(folder / "float32").items() if n not in weights}
    assert len({(v.dtype.str, v.shape, v.tobytes()) for v in constants.values()}) == len(constants)


def test_the_same_architecture_gives_the_same_graph():
    first = convert_decoder(trained(spec_of("cnn8"), seed=1))
    graphs._compact_step.cache_clear()
    second = convert_decoder(trained(spec_of("cnn8"), seed=2))
    assert json.dumps(first.model) == json.dumps(second.model)
    assert first.constants.keys() == second.constants.keys()


def test_float16_rounds_weights_and_nothing_else(bundles):
    decoder, folder = bundles("cnn8")
    weights, stored = decoder.get_weights(), read_tensors(folder / "float16")
    for name, value in weights.items():
        np.testing.assert_array_equal(stored[name].ravel(), value.ravel().astype(np.float16).astype(np.float32))
    exact = read_tensors(folder / "float32")
    for name in stored.keys() - weights.keys():
        np.testing.assert_array_equal(stored[name], exact[name])


@pytest.mark.parametrize("name", ["gru32-dense", "cnn8", "gru1"])
def test_uint8_is_within_half_a_step_and_leaves_biases_and_constants_alone(bundles, name):
    decoder, folder = bundles(name)
    weights, stored = decoder.get_weights(), read_tensors(folder / "uint8")
    entries = json.loads((folder / "uint8" / "model.json").read_text())["weightsManifest"][0]["weights"]
    kinds = {e["name"]: e.get("quantization", e)["dtype"] for e in entries}
    for weight, value in weights.items():
        assert kinds[weight] == ("uint8" if value.ndim > 1 else "float16")
        if value.ndim > 1:
            # Half a step of 1/255 of the range; moving zero onto the grid can clip the ends by another half.
            step = (value.max() - value.min()) / 255
            assert np.abs(stored[weight].ravel() - value.ravel()).max() <= 1.001 * step
    exact = read_tensors(folder / "float32")
    for constant in stored.keys() - weights.keys():
        np.testing.assert_array_equal(stored[constant], exact[constant])


@pytest.mark.parametrize("quantisation", ["float32", "float16", "uint8"])
def test_dequantisation_is_that_of_tensorflowjs(bundles, quantisation):
    _, folder = bundles("gru32-dense")
    theirs = importlib.import_module("tensorflowjs.read_weights")
    model = json.loads((folder / quantisation / "model.json").read_text())
    ours = read_tensors(folder / quantisation)
    for entry in theirs.read_weights(model["weightsManifest"], str(folder / quantisation), flatten=True):
        np.testing.assert_array_equal(ours[entry["name"]], entry["data"], err_msg=entry["name"])
        assert ours[entry["name"]].dtype == entry["data"].dtype


def test_conversion_is_quiet_and_leaves_no_stubs(capfd):
    graphs._compact_step.cache_clear()
    convert_decoder(trained(spec_of("gru8")))
    printed = capfd.readouterr()
    assert printed.out == ""
    assert "Creating a model" not in printed.err
    assert not {"jax", "jax.experimental", "tensorflow_decision_forests"} & sys.modules.keys()
