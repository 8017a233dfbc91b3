from __future__ import annotations

import numpy as np
import pytest

from tinytimbre.export.compaction import Graph
from tinytimbre.export.topology import find_weights, named


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


def test_weights_come_first_under_their_names_and_in_their_order():
    nodes = [
        placeholder("inputs", 1, 2),
        placeholder("state", 1, 0),
        {"name": "axis", "op": "Const"},
        {"name": "k", "op": "Const"},
        {"name": "b", "op": "Const"},
        {"name": "controls", "op": "AddN", "input": ["k", "b"], "attr": {"N": {"i": "2"}, "T": {"type": "DT_FLOAT"}}},
        {"name": "next_state", "op": "Identity", "input": ["state"]},
    ]
    tensors = {"k": np.ones(2), "b": np.zeros(2), "axis": np.array(1)}
    ends = [
        {name: {"name": f"{name}:0"} for name in side} for side in (("inputs", "state"), ("controls", "next_state"))
    ]
    model = {"modelTopology": {"node": nodes}, "signature": dict(zip(("inputs", "outputs"), ends, strict=True))}
    graph = named(Graph(model, tensors), {"b": "head_bias", "k": "head_kernel"})
    by_name = {node["name"]: node for node in graph.nodes}

    assert list(by_name)[:3] == ["head_bias", "head_kernel", "axis"]
    assert by_name["controls"]["op"] == "AddV2"
    assert by_name["controls"]["input"] == ["head_kernel", "head_bias"]
    assert by_name["controls"]["attr"] == {"T": {"type": "DT_FLOAT"}}
    # TensorFlow.js reads a missing size as NaN and refuses every input.
    sizes = by_name["state"]["attr"]["shape"]["shape"]["dim"]
    assert sizes == [{"size": "1"}, {"size": "0"}]
    assert graph.tensors.keys() == {"head_kernel", "head_bias", "axis"}
    assert graph.ends == {"inputs", "state", "controls", "next_state"}
