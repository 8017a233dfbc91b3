"""Constant compaction: the same function in a smaller TensorFlow.js graph model.

    small = compact(Graph(model, tensors), keep={"head_kernel"})
    small.model, small.tensors

A converted graph carries what only TensorFlow needs, and constants that its optimiser folded: zeros of a whole
second of audio, the same weights once per unrolled step. Each step here removes one kind of that and nothing else;
what the graph computes stays the same, bit for bit. Works on any graph model without functions, not only on
TinyTimbre's: what a step does not know, it leaves alone.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import numpy as np

from tinytimbre.export.attributes import smaller_attributes

Node = dict[str, Any]
# An input is "name", "name:output" or, for a control dependency, "^name".
INPUT = re.compile(r"^(?P<mark>\^?)(?P<name>[^:^]+)(?P<output>(:\d+)?)$")
# A Fill costs two small constants and a node, some 200 bytes of JSON; below this a constant stays one.
FILL_BYTES = 1024
FILL_TYPES = {"float32": "DT_FLOAT", "int32": "DT_INT32"}
PASSES_ON = ("Identity", "StopGradient")


@dataclasses.dataclass(frozen=True, eq=False)
class Graph:
    """A graph model in memory.

    Attributes:
        model: model.json without ``weightsManifest``.
        tensors: value of each Const node by name: float32, int32 or bool.
    """

    model: Mapping[str, Any]
    tensors: Mapping[str, np.ndarray]

    @property
    def nodes(self) -> list[Node]:
        """The nodes as listed."""
        return list(self.model["modelTopology"]["node"])

    @property
    def ends(self) -> set[str]:
        """Names of the nodes that the signature calls inputs and outputs."""
        sides = self.model["signature"]["inputs"], self.model["signature"]["outputs"]
        return {node_of(entry["name"]) for side in sides for entry in side.values()}

    def with_nodes(self, nodes: list[Node], tensors: Mapping[str, np.ndarray] | None = None) -> Graph:
        """The same model with other nodes, and only the tensors that they name."""
        topology = {**self.model["modelTopology"], "node": nodes}
        values = self.tensors if tensors is None else tensors
        kept = {node["name"]: values[node["name"]] for node in nodes if node["op"] == "Const"}
        return Graph({**self.model, "modelTopology": topology}, kept)

    def json_bytes(self) -> int:
        """Length of the model's JSON without the list of its weights."""
        return len(to_json(self.model))


Step = Callable[[Graph, Collection[str]], Graph]


def compact(graph: Graph, *, keep: Collection[str] = ()) -> Graph:
    """Runs all `STEPS` in their order.

    Args:
        graph: converted, without functions and loops of version 2.
        keep: constants that must stay constants under their own names, such as weights that a reader looks up.
    """
    for step in STEPS.values():
        graph = step(graph, keep)
    return graph


def to_json(value: object) -> str:
    """Minified."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False, ensure_ascii=False)


def node_of(text: str) -> str:
    """Name of the node that an input refers to."""
    return _parsed(text)["name"]


def drop_dead(graph: Graph, keep: Collection[str] = ()) -> Graph:
    """Without nodes that no output needs, and without control inputs: nothing here has side effects."""
    nodes = {node["name"]: _without_control(node) for node in graph.nodes}
    waiting, needed = [*graph.ends, *(name for name in keep if name in nodes)], set[str]()
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            waiting += [node_of(text) for text in nodes[name].get("input", ())]
    return graph.with_nodes([node for name, node in nodes.items() if name in needed])


def drop_identities(graph: Graph, keep: Collection[str] = ()) -> Graph:
    """Without nodes that hand a value on; one that is an output gives its name to the node that makes the value."""
    nodes = {node["name"]: node for node in graph.nodes}
    passing = [name for name, node in nodes.items() if node["op"] in PASSES_ON]
    aliases = {name: nodes[name]["input"][0] for name in passing if name not in graph.ends}
    fixed = graph.ends | set(keep) | {name for name, node in nodes.items() if node["op"] in ("Const", "Placeholder")}
    taken: dict[str, str] = {}
    for name in passing:
        source = _followed(nodes[name]["input"][0], aliases)
        # "node:1" is not a node's first output and cannot have a name of its own.
        if name in graph.ends and source in nodes and source not in fixed and source not in taken:
            taken[source] = name
    gone = aliases.keys() | set(taken.values())
    left = [node for name, node in nodes.items() if name not in gone]
    return graph.with_nodes([_renamed(node, lambda text: _named(_followed(text, aliases), taken)) for node in left])


def share_constants(graph: Graph, keep: Collection[str] = ()) -> Graph:
    """Of constants with the same type, shape and bytes the first by name stays; those to keep all stay."""
    first: dict[tuple[str, tuple[int, ...], bytes], str] = {}
    shared: dict[str, str] = {}
    for name in sorted(graph.tensors.keys() - set(keep) - graph.ends):
        value = graph.tensors[name]
        shared[name] = first.setdefault((value.dtype.str, value.shape, value.tobytes()), name)
    left = [node for node in graph.nodes if shared.get(node["name"], node["name"]) == node["name"]]
    return graph.with_nodes([_renamed(node, lambda text: _named(text, shared)) for node in left])


def fill_uniform(graph: Graph, keep: Collection[str] = ()) -> Graph:
    """Large constants that hold one value everywhere become ``Fill(shape, value)``."""
    tensors, nodes = dict(graph.tensors), []
    for node in graph.nodes:
        value = tensors.get(node["name"])
        if value is None or node["name"] in keep or not _is_large_and_uniform(value):
            nodes.append(node)
            continue
        dims, scalar = f"{node['name']}/dims", f"{node['name']}/value"
        tensors[dims], tensors[scalar] = np.array(value.shape, np.int32), value.reshape(-1)[0].reshape(())
        nodes += [{"name": dims, "op": "Const"}, {"name": scalar, "op": "Const"}]
        attributes = {"T": {"type": FILL_TYPES[value.dtype.name]}}
        nodes.append({"name": node["name"], "op": "Fill", "input": [dims, scalar], "attr": attributes})
    return graph.with_nodes(nodes, tensors)


def drop_attributes(graph: Graph) -> Graph:
    """Without attributes that TensorFlow.js does not read, or that say what it assumes anyway."""
    return graph.with_nodes([smaller_attributes(node) for node in graph.nodes])


def shorten_names(graph: Graph, keep: Collection[str] = ()) -> Graph:
    """Nodes in the order of execution as a, b, …; constants to keep, inputs and outputs have their own names."""
    own = graph.ends | set(keep)
    fresh = (name for name in _short_names() if name not in own)
    names = {node["name"]: node["name"] if node["name"] in own else next(fresh) for node in graph.nodes}
    tensors = {names[name]: value for name, value in graph.tensors.items()}
    return graph.with_nodes([_renamed(node, lambda text: _named(text, names)) for node in graph.nodes], tensors)


def minify_model(graph: Graph) -> Graph:
    """Only the parts of a model.json that TensorFlow.js reads; shapes of inputs stand in their Placeholders."""
    signature = {
        side: {name: {"name": entry["name"]} for name, entry in graph.model["signature"][side].items()}
        for side in ("inputs", "outputs")
    }
    topology = {"node": graph.nodes, "versions": graph.model["modelTopology"].get("versions", {})}
    return Graph({"format": "graph-model", "signature": signature, "modelTopology": topology}, graph.tensors)


STEPS: Mapping[str, Step] = {
    "dead nodes": drop_dead,
    "identities": drop_identities,
    "shared constants": share_constants,
    "uniform constants": fill_uniform,
    # The sizes and values of several Fills may be the same again.
    "their sizes and values": share_constants,
    "unread attributes": lambda graph, _: drop_attributes(graph),
    "short names": shorten_names,
    "unread fields": lambda graph, _: minify_model(graph),
}


def _parsed(text: str) -> re.Match[str]:
    match = INPUT.match(text)
    if match is None:
        raise ValueError(f"not an input of a node: {text!r}")
    return match


def _without_control(node: Node) -> Node:
    inputs = [text for text in node.get("input", ()) if not text.startswith("^")]
    rest = {key: value for key, value in node.items() if key != "input"}
    return {**rest, "input": inputs} if inputs and node["op"] != "Const" else rest


def _followed(text: str, aliases: Mapping[str, str]) -> str:
    """The input that stands at the end of a chain of nodes that only hand on."""
    while _parsed(text)["name"] in aliases:
        text = aliases[_parsed(text)["name"]]
    return text.removesuffix(":0")


def _named(text: str, names: Mapping[str, str]) -> str:
    """The input under its node's other name."""
    match = _parsed(text)
    return match["mark"] + names.get(match["name"], match["name"]) + match["output"].removesuffix(":0")


def _renamed(node: Node, rename: Callable[[str], str]) -> Node:
    inputs = {"input": [rename(text) for text in node["input"]]} if "input" in node else {}
    return {**node, "name": rename(node["name"]), **inputs}


def _is_large_and_uniform(value: np.ndarray) -> bool:
    if value.nbytes < FILL_BYTES or value.dtype.name not in FILL_TYPES:
        return False
    bits = value.reshape(-1).view(np.uint32)  # by bits: -0 is not 0
    return bool((bits == bits[0]).all())


def _short_names() -> Iterator[str]:
    """First a to z, then aa, ab and so on."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    length = 1
    while True:
        for number in range(len(letters) ** length):
            yield "".join(letters[number // len(letters) ** place % len(letters)] for place in reversed(range(length)))
        length += 1
