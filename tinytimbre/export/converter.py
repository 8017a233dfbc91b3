"""The one door to `tensorflowjs`: a decoder's step becomes a TensorFlow.js graph model.

    graph = convert_decoder(decoder, output=folder)              # folder/model.json, folder/weights.bin, float32
    write_graph(graph, quantisation="uint8", output=other)       # the same conversion, other weights

The converter optimises by value: it drops the addition of a bias that happens to be zero and merges equal tensors.
So the step is converted once per architecture with random weights, each found again in the result by its values,
and the trained weights are put in their places. Every weight thus keeps its own name in the graph, and the graph of
an architecture is the same for every training.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib
import importlib.util
import io
import json
import pathlib
import sys
import tempfile
import types
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tinytimbre.config import Quantisation
from tinytimbre.ddsp_door import use_legacy_keras
from tinytimbre.decoders.base import Decoder, build_decoder
from tinytimbre.decoders.spec import N_INPUTS, DecoderSpec
from tinytimbre.export import topology
from tinytimbre.export.bundle import MODEL_FILE, WEIGHTS_FILE
from tinytimbre.export.compaction import Graph, compact, to_json
from tinytimbre.export.packing import pack_weight
from tinytimbre.export.settings import CONTROLS, INPUTS, NEXT_STATE, STATE

# What tensorflowjs imports for inputs we never give it (decision forests, JAX functions).
STUBBED = ("tensorflow_decision_forests", "jax", "jax.experimental", "jax.experimental.jax2tf")
# One file whatever the size: a second request costs a client more than a cache larger than 4 MB.
ONE_SHARD = 2**40
PACKED_BITS: dict[Quantisation, int] = {"int8": 8, "int6": 6, "int4": 4}
Arrays = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class ConvertedGraph:
    """A step graph and its tensors.

    Attributes:
        model: model.json without ``weightsManifest``.
        weights: float32, by the names of `Decoder.get_weights`; kernels may be stored in another shape.
        constants: everything else that is constant: axes, slice bounds, the numbers of exp_sigmoid.
    """

    model: dict[str, Any]
    weights: Arrays
    constants: Arrays


def convert_decoder(decoder: Decoder, *, output: str | pathlib.Path | None = None) -> ConvertedGraph:
    """Converts ``decoder.step``; writes the float32 model into the folder ``output`` if one is given.

    The graph takes ``inputs`` [1, 2] and ``state`` [1, state_size] and gives ``controls`` [1, C] and ``next_state``
    [1, state_size], all float32; it has no loops.
    """
    template = _convert_architecture(decoder.spec)
    trained = decoder.get_weights()
    weights = {name: trained[name].reshape(value.shape) for name, value in template.weights.items()}
    graph = dataclasses.replace(template, weights=weights)
    if output is not None:
        write_graph(graph, quantisation="float32", output=output)
    return graph


def write_graph(graph: ConvertedGraph, *, quantisation: Quantisation, output: str | pathlib.Path) -> None:
    """Writes ``model.json`` and ``weights.bin`` into the folder ``output``.

    float16 and uint8 are tensorflowjs' own. float16 stores every weight in 16 bits. uint8 stores matrices in 8 bits,
    affine per tensor; vectors (the biases) stay in 16 bits, because a step of 1/255 of a bias vector's range would
    shift whole controls by tenths of a dB for a few bytes saved. int8, int6 and int4 are ours, see
    `tinytimbre.export.packing`: matrices in as many bits, a step per output; what is small or acts on the inputs
    directly stays in 12 bits. Constants are never quantised: TF.js needs its axes and bounds exact.
    """
    output = pathlib.Path(output)
    output.mkdir(parents=True, exist_ok=True)
    write = _write_packed if quantisation in PACKED_BITS else _write_converted
    entries = write(graph, quantisation=quantisation, path=output / WEIGHTS_FILE)
    manifest = [{"paths": [WEIGHTS_FILE], "weights": entries}]
    (output / MODEL_FILE).write_text(to_json({**graph.model, "weightsManifest": manifest}), encoding="utf-8")


def _write_converted(graph: ConvertedGraph, *, quantisation: Quantisation, path: pathlib.Path) -> list[dict[str, Any]]:
    """Writes the tensors with tensorflowjs; gives the manifest's entries."""
    tensors = {**graph.weights, **graph.constants}
    with _quiet():
        [group] = _tensorflowjs("write_weights").write_weights(
            [[{"name": name, "data": value} for name, value in tensors.items()]],
            str(path.parent),
            shard_size_bytes=ONE_SHARD,
            write_manifest=False,
            quantization_dtype_map=_quantised_names(graph.weights, quantisation),
        )
    (path.parent / group["paths"][0]).replace(path)
    return [_shorter(entry) for entry in group["weights"]]


def _shorter(entry: dict[str, Any]) -> dict[str, Any]:
    """Six digits of scale and minimum move no weight by more than a hundredth of a step; the type is told already."""
    told = {key: value for key, value in entry.get("quantization", {}).items() if key != "original_dtype"}
    numbers = {key: float(f"{value:.6g}") for key, value in told.items() if isinstance(value, float)}
    return {**entry, "quantization": {**told, **numbers}} if told else entry


def _write_packed(graph: ConvertedGraph, *, quantisation: Quantisation, path: pathlib.Path) -> list[dict[str, Any]]:
    """Writes weights in few bits and constants as they are; gives the manifest's entries."""
    entries, parts = [], []
    for name, value in {**graph.weights, **graph.constants}.items():
        entry: dict[str, Any] = {"name": name, "shape": list(value.shape), "dtype": value.dtype.name}
        if name in graph.weights:
            packed = pack_weight(value, bits=PACKED_BITS[quantisation])
            entry, value_bytes = {**entry, "quantization": packed.quantization}, packed.data
        else:
            value_bytes = value.astype(value.dtype.newbyteorder("<")).tobytes()
        entries.append(entry)
        parts.append(value_bytes)
    path.write_bytes(b"".join(parts))
    return entries


def _quantised_names(weights: Arrays, quantisation: Quantisation) -> dict[str, list[str]] | None:
    if quantisation == "float32":
        return None
    if quantisation == "float16":
        return {"float16": list(weights)}
    vectors = [name for name, value in weights.items() if value.ndim < 2]
    return {"uint8": [name for name in weights if name not in vectors], "float16": vectors}


@functools.lru_cache(maxsize=256)
def _convert_architecture(spec: DecoderSpec) -> ConvertedGraph:
    """The graph of an architecture, with random weights under the decoder's names."""
    converted = convert_architecture(spec)
    names = list(build_decoder(spec, seed=0).get_weights())
    graph = compact(converted, keep=names)
    return ConvertedGraph(
        model=dict(graph.model),
        weights={name: graph.tensors[name] for name in names},
        constants={name: value for name, value in graph.tensors.items() if name not in names},
    )


def convert_architecture(spec: DecoderSpec) -> Graph:
    """The step of an architecture as tensorflowjs converts it, with random weights under the decoder's names."""
    decoder = build_decoder(spec, seed=0)
    rng = np.random.default_rng(0)
    weights = {k: rng.normal(size=v.shape).astype(np.float32) for k, v in decoder.get_weights().items()}
    decoder.set_weights(weights)
    with tempfile.TemporaryDirectory(prefix="tinytimbre-convert-") as folder:
        converted = convert_frozen(_frozen_step(decoder), outputs=(CONTROLS, NEXT_STATE), folder=pathlib.Path(folder))
    return topology.named(converted, topology.find_weights(converted.tensors, weights))


def _frozen_step(decoder: Decoder) -> bytes:
    """One step with the four tensors under their names."""
    import tensorflow as tf

    @tf.function(autograph=False)
    def step(inputs: tf.Tensor, state: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        controls, next_state = decoder.step(inputs, state)
        return tf.identity(controls, name=CONTROLS), tf.identity(next_state, name=NEXT_STATE)

    return freeze(
        step.get_concrete_function(
            tf.TensorSpec([1, N_INPUTS], name=INPUTS), tf.TensorSpec([1, decoder.spec.state_size], name=STATE)
        )
    )


def freeze(function: Any) -> bytes:
    """A serialised GraphDef of a concrete function, with its variables as constants."""
    from tensorflow.python.framework import convert_to_constants

    frozen = convert_to_constants.convert_variables_to_constants_v2(function)
    return bytes(frozen.graph.as_graph_def().SerializeToString())


def convert_frozen(frozen: bytes, *, outputs: Sequence[str], folder: pathlib.Path) -> Graph:
    """What tensorflowjs makes of a serialised GraphDef without variables.

    Args:
        frozen: the GraphDef.
        outputs: names of the nodes that are asked for.
        folder: to work in; holds ``model.json`` and its weights afterwards.
    """
    path = folder / "frozen.pb"
    path.write_bytes(frozen)
    converter = _tensorflowjs("converters.tf_saved_model_conversion_v2")
    with _quiet():
        converter.convert_tf_frozen_model(str(path), ",".join(outputs), str(folder))
    model = json.loads((folder / MODEL_FILE).read_text())
    groups = _tensorflowjs("read_weights").read_weights(model.pop("weightsManifest"), str(folder), flatten=True)
    return Graph(model, {entry["name"]: np.array(entry["data"]) for entry in groups})


def _tensorflowjs(module: str) -> Any:
    """A module of tensorflowjs."""
    _import_tensorflowjs()
    return importlib.import_module(f"tensorflowjs.{module}")


@functools.cache
def _import_tensorflowjs() -> None:
    """Imports tensorflowjs without what it imports and we never use.

    TensorFlow comes first and the stubs go again: Keras 3 looks at ``jax.monitoring`` where a jax exists.
    """
    use_legacy_keras()
    importlib.import_module("tensorflow")
    with _stubs(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tensorflow_hub's pkg_resources notice
        importlib.import_module("tensorflowjs.converters")


@contextlib.contextmanager
def _stubs() -> Iterator[None]:
    absent = [n for n in STUBBED if n.partition(".")[0] not in sys.modules and not _installed(n.partition(".")[0])]
    for name in absent:
        sys.modules[name] = types.ModuleType(name)
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, sys.modules[name])
    try:
        yield
    finally:
        for name in absent:
            sys.modules.pop(name, None)


def _installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Swallows prints: tensorflowjs tells what it does; nobody who runs a sweep needs it."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
