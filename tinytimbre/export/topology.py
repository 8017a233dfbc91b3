"""A converted step graph under the names of the bundle format: weights, inputs, outputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tinytimbre.export.compaction import Graph, Node


def find_weights(tensors: Mapping[str, np.ndarray], weights: Mapping[str, np.ndarray]) -> dict[str, str]:
    """Which node holds which weight, by value; the shape may differ, the order of the values may not.

    Args:
        tensors: constants of the converted graph, by node.
        weights: the values that went in, each unlike all others.

    Returns:
        The weight's name for each node that holds one.

    Raises:
        RuntimeError: a weight is not in the graph exactly once: the converter folded it into something else.
    """
    nodes: dict[bytes, list[str]] = {}
    for node, value in tensors.items():
        nodes.setdefault(value.tobytes(), []).append(node)
    found = {name: nodes.get(value.astype(np.float32).tobytes(), []) for name, value in weights.items()}
    lost = {name: places for name, places in found.items() if len(places) != 1}
    if lost:
        raise RuntimeError(f"the converter did not keep these weights as they are: {lost}")
    return {places[0]: name for name, places in found.items()}


def named(graph: Graph, names: Mapping[str, str]) -> Graph:
    """The converted step under the names of the format, weights first and in their order.

    Args:
        graph: as tensorflowjs wrote it.
        names: the weight's name for each node that holds one, as `find_weights` gives them.
    """
    nodes = [_node(node, names) for node in graph.nodes]
    place = {name: index for index, name in enumerate(names.values())}
    ordered = sorted(nodes, key=lambda node: (place.get(node["name"], len(place)), node["op"] != "Const"))
    tensors = {names.get(name, name): value for name, value in graph.tensors.items()}
    return graph.with_nodes(ordered, tensors)


def _node(node: Node, names: Mapping[str, str]) -> Node:
    inputs = {"input": [names.get(text, text) for text in node["input"]]} if "input" in node else {}
    attributes = dict(node.get("attr", {}))
    # A sum of two is the same operation under either name; every backend and our own runtime have AddV2.
    is_pair = node["op"] == "AddN" and attributes.get("N") == {"i": "2"}
    if is_pair:
        del attributes["N"]
    if node["op"] == "Placeholder":
        attributes["shape"] = _spelt_out(attributes["shape"])
    op = "AddV2" if is_pair else node["op"]
    return {**node, "name": names.get(node["name"], node["name"]), "op": op, **inputs, "attr": attributes}


def _spelt_out(shape: dict[str, Any]) -> dict[str, Any]:
    """The shape with every size: JSON made from protobuf leaves out a 0, which TensorFlow.js reads as NaN."""
    return {"shape": {"dim": [{"size": dim.get("size", "0")} for dim in shape["shape"].get("dim", [])]}}
