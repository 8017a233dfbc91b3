from __future__ import annotations

import itertools
import json
import pathlib
import subprocess

import numpy as np
import pytest
from exported_bundles import spec_of
from synthesiser_graph import synthesiser_graph

from tinytimbre.export import attributes, compaction
from tinytimbre.export.compaction import STEPS, Graph, compact
from tinytimbre.export.graphs import ConvertedGraph, convert_architecture, write_graph
from tinytimbre.export.node import WEB_DIR, node_executable
from tinytimbre.export.settings import CONTROLS, INPUTS, NEXT_STATE, STATE

ENDS = {"inputs": {"x": {"name": "x:0"}}, "outputs": {"y": {"name": "y:0"}}}
X = {"name": "x", "op": "Placeholder", "attr": {"dtype": {"type": "DT_FLOAT"}}}


def graph_of(*nodes, **tensors):
    topology = {"node": [X, *nodes], "versions": {"producer": 1}, "library": {}}
    return Graph({"format": "graph-model", "generatedBy": "2", "signature": ENDS, "modelTopology": topology}, tensors)


def node(name, op, *inputs, **attr):
    return {"name": name, "op": op, **({"input": list(inputs)} if inputs else {}), **({"attr": attr} if attr else {})}


def wiring(graph):
    return {one["name"]: (one["op"], one.get("input", [])) for one in graph.nodes}


def test_what_no_output_needs_goes():
    used, unused = np.ones(2, np.float32), np.zeros(2, np.float32)
    nodes = [node("c", "Const"), node("d", "Const"), node("e", "Neg", "d"), node("y", "Add", "x", "c", "^e")]
    dropped = compaction.drop_dead(graph_of(*nodes, c=used, d=unused))
    assert wiring(dropped) == {"x": ("Placeholder", []), "c": ("Const", []), "y": ("Add", ["x", "c"])}
    assert dropped.tensors.keys() == {"c"}
    assert "d" in wiring(compaction.drop_dead(graph_of(*nodes, c=used, d=unused), {"d"}))


def test_an_output_takes_the_place_of_what_it_handed_on():
    nodes = [node("a", "Neg", "x"), node("b", "Identity", "a"), node("y", "Identity", "b"), node("z", "Abs", "b:0")]
    assert wiring(compaction.drop_identities(graph_of(*nodes))) == {
        "x": ("Placeholder", []), "y": ("Neg", ["x"]), "z": ("Abs", ["y"]),
    }  # fmt: skip


def test_second_outputs_inputs_and_constants_keep_their_names():
    split = [node("s", "Split", "k", "x"), node("k", "Const"), node("y", "Identity", "s:1")]
    kept = compaction.drop_identities(graph_of(*split, k=np.array(0, np.int32)))
    assert wiring(kept)["y"] == ("Identity", ["s:1"])
    assert wiring(compaction.drop_identities(graph_of(node("y", "Identity", "x"))))["y"] == ("Identity", ["x"])
    alias = [node("s", "Split", "k", "x"), node("k", "Const"), node("i", "Identity", "s:1"), node("y", "Neg", "i")]
    kept = compaction.drop_identities(graph_of(*alias, k=np.array(0, np.int32)))
    assert wiring(kept)["y"] == ("Neg", ["s:1"])


def test_equal_bytes_are_shared_but_not_across_types_shapes_or_kept_names():
    tensors = {
        "a": np.zeros(2, np.float32), "b": np.zeros(2, np.float32), "c": np.zeros(2, np.int32),
        "d": np.zeros((2, 1), np.float32), "e": np.zeros(2, np.float32), "f": np.array([0.0, -0.0], np.float32),
    }  # fmt: skip
    nodes = [node(name, "Const") for name in tensors]
    shared = compaction.share_constants(graph_of(*nodes, node("y", "AddN", *tensors), **tensors), {"e"})
    assert wiring(shared)["y"] == ("AddN", ["a", "a", "c", "d", "e", "f"])
    assert shared.tensors.keys() == tensors.keys() - {"b"}


def test_large_uniform_constants_are_filled_in():
    tensors = {
        "big": np.full((4, 100), 2.5, np.float32), "small": np.zeros(9, np.float32), "kept": np.zeros(400, np.float32),
        "signs": np.where(np.arange(400) % 2, 0.0, -0.0).astype(np.float32),
    }  # fmt: skip
    nodes = [node(name, "Const") for name in tensors]
    filled = compaction.fill_uniform(graph_of(*nodes, node("y", "AddN", *tensors), **tensors), {"kept"})
    assert wiring(filled)["big"] == ("Fill", ["big/dims", "big/value"])
    np.testing.assert_array_equal(filled.tensors["big/dims"], [4, 100])
    assert filled.tensors["big/value"].shape == ()
    assert filled.tensors["big/value"] == 2.5
    assert {"small", "kept", "signs"} <= filled.tensors.keys()


def test_names_become_short_and_unique():
    nodes = [node(f"a/long/name_{i}", "Neg", "x") for i in range(30)] + [node("y", "Add", "a/long/name_29", "b")]
    short = compaction.shorten_names(graph_of(*nodes, node("b", "Const"), b=np.ones(1)), {"b"})
    names = [one["name"] for one in short.nodes]
    # "b", "x" and "y" are taken, so the thirtieth is the seventh with two letters.
    assert names == ["x", "a", *"cdefghijklmnopqrstuvwz", *(f"a{c}" for c in "abcdefg"), "y", "b"]
    assert wiring(short)["y"] == ("Add", ["ag", "b"])


def test_attributes_go_where_nothing_reads_them():
    fused = node("m", "_FusedMatMul", "x", T={"type": "DT_FLOAT"}, transpose_a={"b": False}, transpose_b={"b": True})
    unknown = node("y", "Novelty", "m", T={"type": "DT_FLOAT"}, _note={"b": True})
    left = {one["name"]: one.get("attr") for one in compaction.drop_attributes(graph_of(fused, unknown)).nodes}
    assert left["m"] == {"transpose_b": {"b": True}}
    assert left["y"] == {"T": {"type": "DT_FLOAT"}}


def test_the_table_of_attributes_is_that_of_tensorflowjs():
    listed = _attributes_of_tensorflowjs()
    assert attributes.READ.keys() <= listed.keys()
    for op, ours in attributes.READ.items():
        theirs = dict(listed[op])
        assert theirs.pop("epsilon", 0.0001) == 0.0001, "only the fused products list it"
        assert ours.keys() == theirs.keys(), op
        for name, assumed in ours.items():
            if assumed is not None:
                # TensorFlow.js assumes null, false or 0 alike where an attribute is missing.
                [value] = assumed.values()
                assert float(value) == float(theirs[name] or 0), (op, name)


def _attributes_of_tensorflowjs():
    """Attribute -> assumed value, for each operation, from the lists that the graph executor works with."""
    folder = WEB_DIR / "node_modules" / "@tensorflow" / "tfjs-converter" / "dist" / "operations" / "op_list"
    lines = [
        f"const folder = {json.dumps(str(folder))}, found = {{}}, fs = require('fs');",
        "for (const file of fs.readdirSync(folder).filter((name) => name.endsWith('.js'))) {",
        "  const text = fs.readFileSync(`${folder}/${file}`, 'utf8').replace('export const json', 'globalThis.ops');",
        "  globalThis.ops = []; (0, eval)(text);",
        "  for (const op of globalThis.ops) found[op.tfOpName] = Object.fromEntries((op.attrs ?? [])",
        "    .filter((attr) => !attr.notSupported).map((attr) => [attr.tfName, attr.defaultValue ?? null]));",
        "}",
        "console.log(JSON.stringify(found));",
    ]
    done = subprocess.run([node_executable(), "-e", "\n".join(lines)], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", ["gru32-dense", "cnn8", "cnn4-stateless"])
def test_a_step_computes_the_same_bits(name, played, tmp_path):
    graph, spec = convert_architecture(spec_of(name)), spec_of(name)
    small = compact(graph, keep=[node["name"] for node in graph.nodes if node["name"].endswith(("kernel", "bias"))])
    assert small.json_bytes() < 0.55 * graph.json_bytes()
    rng = np.random.default_rng(3)
    frames = [{INPUTS: x, STATE: rng.normal(size=[1, spec.state_size])} for x in played[:20, np.newaxis]]
    before, after = run_graphs([graph, small], frames, outputs=[CONTROLS, NEXT_STATE], folder=tmp_path)
    np.testing.assert_array_equal(before.view(np.uint32), after.view(np.uint32))
    assert len(before) == 20 * (spec.n_controls + spec.state_size)
    assert np.ptp(before.reshape(20, -1), axis=0).max() > 0.01, "something is computed"


def test_a_graph_with_the_synthesiser_inside_loses_its_constants_and_nothing_else(tmp_path):
    graph = synthesiser_graph(frames=10, n_samples=640, harmonics=20)
    small = compact(graph)
    large = [value for value in small.tensors.values() if value.nbytes >= compaction.FILL_BYTES]
    assert not [value for value in large if len(np.unique(value)) == 1]
    assert all(a.tobytes() != b.tobytes() for a, b in itertools.combinations(large, 2))
    # ddsp masks harmonics with zeros of every sample and harmonic.
    assert total_bytes(graph) - total_bytes(small) > 640 * 20 * 4

    steps = np.arange(10)
    frame = {"f0_hz": 220.0 + 20 * steps, "loudness_db": -30.0 + 2 * steps}
    before, after = run_graphs([graph, small], [frame], outputs=["audio"], folder=tmp_path)
    np.testing.assert_array_equal(before.view(np.uint32), after.view(np.uint32))
    assert before.shape == (640,)
    assert before.std() > 1e-3, "it sounds"


def test_steps_may_be_repeated():
    graph = compact(synthesiser_graph(frames=5, n_samples=320, harmonics=8))
    again = compact(graph)
    assert next(iter(STEPS)) == "dead nodes"
    assert again.json_bytes() == graph.json_bytes()
    assert total_bytes(again) == total_bytes(graph)


def total_bytes(graph):
    return sum(value.nbytes for value in graph.tensors.values())


def run_graphs(graphs, frames, *, outputs, folder: pathlib.Path):
    """All that each graph gives, float32: by TensorFlow.js' CPU backend, whose arithmetic is plain JavaScript."""
    runs = []
    for index, graph in enumerate(graphs):
        whole = ConvertedGraph(model=dict(graph.model), weights={}, constants=dict(graph.tensors))
        write_graph(whole, quantisation="float32", output=folder / f"graph{index}")
        runs.append({"model": str(folder / f"graph{index}"), "output": str(folder / f"output{index}")})
    plan = {
        "modules": str(WEB_DIR / "package.json"), "runs": runs, "outputs": outputs,
        "frames": [
            {name: {"shape": value.shape, "values": value.ravel().tolist()} for name, value in frame.items()}
            for frame in frames
        ],
    }  # fmt: skip
    (folder / "plan.json").write_text(json.dumps(plan))
    command = [node_executable(), pathlib.Path(__file__).with_name("run-graph.mjs"), folder / "plan.json"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [np.fromfile(run["output"], "<f4") for run in runs]
