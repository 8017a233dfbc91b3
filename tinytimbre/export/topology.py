"""Tidying of a converted graph: stable names, no duplicates, nothing that TensorFlow.js does not read.

The functions work on the dictionaries of a model.json and give new ones.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from tinytimbre.export.settings import CONTROLS, INPUTS, NEXT_STATE, STATE

Node = dict[str, Any]
# An input is "name", "name:output" or, for a control dependency, "^name".
INPUT = re.compile(r"^(?P<mark>\^?)(?P<name>[^:]+)(?P<output>(:\d+)?)$")


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


def tidy(
    model: Mapping[str, Any],
    *,
    names: Mapping[str, str],
    constants: Collection[str],
    tensors: Mapping[str, np.ndarray],
) -> dict[str, Any]:
    """A model.json (without manifest) with weights under their names and each constant once.

    Args:
        model: as tensorflowjs wrote it.
        names: the weight's name for each node that holds one.
        constants: the other constant nodes.
        tensors: values of all constant nodes.
    """
    renamed = {**_shared(constants, tensors), **names}
    nodes = {_renamed(node["name"], renamed): _node(node, renamed) for node in model["modelTopology"]["node"]}
    versions = model["modelTopology"].get("versions", {})
    return {
        "format": model["format"],
        "signature": _signature(nodes),
        "modelTopology": {"node": _in_order(nodes, set(names.values())), "versions": versions},
    }


def _shared(constants: Collection[str], tensors: Mapping[str, np.ndarray]) -> dict[str, str]:
    """For each constant the first (by name) with the same type, shape and value."""
    first: dict[tuple[str, tuple[int, ...], bytes], str] = {}
    for name in sorted(constants):
        value = tensors[name]
        first.setdefault((value.dtype.str, value.shape, value.tobytes()), name)
    return {n: first[(tensors[n].dtype.str, tensors[n].shape, tensors[n].tobytes())] for n in constants}


def _renamed(text: str, renamed: Mapping[str, str]) -> str:
    match = INPUT.match(text)
    if match is None:
        raise RuntimeError(f"not an input of a node: {text!r}")
    return match["mark"] + renamed.get(match["name"], match["name"]) + match["output"]


def _node(node: Node, renamed: Mapping[str, str]) -> Node:
    """The node without control inputs of constants, grappler's notes and the device it was planned on."""
    inputs = [] if node["op"] == "Const" else [_renamed(text, renamed) for text in node.get("input", [])]
    attributes = {key: value for key, value in sorted(node.get("attr", {}).items()) if not key.startswith("_")}
    # A sum of two is the same operation under either name; every backend and our own runtime have AddV2.
    is_pair = node["op"] == "AddN" and attributes.get("N") == {"i": "2"}
    if is_pair:
        del attributes["N"]
    if node["op"] == "Placeholder":
        attributes["shape"] = _spelt_out(attributes["shape"])
    tidied = {"name": _renamed(node["name"], renamed), "op": "AddV2" if is_pair else node["op"]}
    return {**tidied, **({"input": inputs} if inputs else {}), "attr": attributes}


def _spelt_out(shape: dict[str, Any]) -> dict[str, Any]:
    """The shape with every size: JSON made from protobuf leaves out a 0, which TensorFlow.js reads as NaN."""
    return {"shape": {"dim": [{"size": dim.get("size", "0")} for dim in shape["shape"].get("dim", [])]}}


def _in_order(nodes: Mapping[str, Node], weights: Collection[str]) -> list[Node]:
    """Weights, other constants, then the rest as the converter ordered it."""
    constants = sorted((n for n in nodes.values() if n["op"] == "Const"), key=lambda n: str(n["name"]))
    return [
        *(n for n in constants if n["name"] in weights),
        *(n for n in constants if n["name"] not in weights),
        *(n for n in nodes.values() if n["op"] != "Const"),
    ]


def _signature(nodes: Mapping[str, Node]) -> dict[str, Any]:
    """Names and shapes of the graph's inputs, names of its outputs."""
    inputs = {
        name: {
            "name": f"{name}:0",
            "dtype": nodes[name]["attr"]["dtype"]["type"],
            "tensorShape": nodes[name]["attr"]["shape"]["shape"],
        }
        for name in (INPUTS, STATE)
    }
    outputs = {name: {"name": f"{name}:0", "dtype": "DT_FLOAT"} for name in (CONTROLS, NEXT_STATE)}
    return {"inputs": inputs, "outputs": outputs}
