from __future__ import annotations

import numpy as np
import pytest

from tinytimbre.export.topology import find_weights, tidy


def test_weights_are_found_under_another_shape():
    kernel, bias = np.arange(6, dtype=np.float32).reshape(3, 1, 2), np.array([7.0, 8.0], np.float32)
    tensors = {"Reshape_1": kernel.reshape(3, 2), "add/y": bias, "axis": np.array(1, np.int32)}
    assert find_weights(tensors, {"kernel": kernel, "bias": bias}) == {"Reshape_1": "kernel", "add/y": "bias"}


@pytest.mark.parametrize(
    "tensors",
    [
        {"folded": np.array([2.0, 4.0], np.float32)},
        {"a": np.array([1.0, 2.0], np.float32), "b": np.array([1.0, 2.0], np.float32)},
    ],
)
def test_a_weight_that_is_not_there_exactly_once_is_an_error(tensors):
    with pytest.raises(RuntimeError, match="kernel"):
        find_weights(tensors, {"kernel": np.array([1.0, 2.0], np.float32)})


def placeholder(name, *sizes):
    dim = [{"size": str(size)} if size else {} for size in sizes]
    return {
        "name": name,
        "op": "Placeholder",
        "attr": {"shape": {"shape": {"dim": dim}}, "dtype": {"type": "DT_FLOAT"}},
    }


def test_tidying_renames_merges_and_drops_notes():
    nodes = [
        placeholder("inputs", 1, 2),
        placeholder("state", 1, 0),
        {"name": "k", "op": "Const", "input": ["^inputs"], "attr": {}},
        {"name": "axis_1", "op": "Const", "attr": {}},
        {"name": "axis", "op": "Const", "attr": {}},
        {"name": "two", "op": "AddN", "input": ["k", "s:1"], "attr": {"N": {"i": "2"}, "_grappler": {"b": True}}},
        {"name": "s", "op": "Split", "input": ["axis_1", "inputs", "^axis_1"], "device": "/device:CPU:0", "attr": {}},
    ]
    tensors = {"k": np.ones(2), "axis": np.array(1), "axis_1": np.array(1)}
    model = {"format": "graph-model", "generatedBy": "x", "modelTopology": {"node": nodes, "library": {}}}
    tidied = tidy(model, names={"k": "head_kernel"}, constants={"axis", "axis_1"}, tensors=tensors)
    by_name = {node["name"]: node for node in tidied["modelTopology"]["node"]}

    assert list(by_name) == ["head_kernel", "axis", "inputs", "state", "two", "s"]
    assert by_name["two"] == {"name": "two", "op": "AddV2", "input": ["head_kernel", "s:1"], "attr": {}}
    assert by_name["s"] == {"name": "s", "op": "Split", "input": ["axis", "inputs", "^axis"], "attr": {}}
    assert "input" not in by_name["head_kernel"]
    # TensorFlow.js reads a missing size as NaN and refuses every input.
    assert tidied["signature"]["inputs"]["state"]["tensorShape"] == {"dim": [{"size": "1"}, {"size": "0"}]}
    assert tidied.keys() == {"format", "signature", "modelTopology"}
