"""A decoder as a TensorFlow.js graph model: one step, or a block of frames.

    graph = convert_decoder(decoder)
    write_graph(graph, quantisation="uint8", output=folder)       # folder/model.json, folder/weights.bin

The converter optimises by value: it drops the addition of a bias that happens to be zero and merges equal tensors.
So an architecture is converted once with random weights, each found again in the result by its values, and the
trained weights are put in their places. Every weight thus keeps its own name in the graph, and the graph of an
architecture is the same for every training.
"""

from __future__ import annotations

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

import numpy as np

from tinytimbre.config import TUNED_BITS, Quantisation
from tinytimbre.decoders.spec import N_INPUTS, DecoderSpec
from tinytimbre.export import topology
from tinytimbre.export.bundle import MODEL_FILE, WEIGHTS_FILE
from tinytimbre.export.compaction import Graph, compact, share_constants, to_json
from tinytimbre.export.converter import convert_function, write_tensors
from tinytimbre.export.packing import pack_weight
from tinytimbre.export.settings import CONTROLS, INPUTS, NEXT_STATE, STATE

if TYPE_CHECKING:
    from tinytimbre.decoders import Decoder

Arrays = dict[str, np.ndarray]
PACKED_BITS: dict[Quantisation, int] = {"int8": 8, "int6": 6, "int4": 4, **TUNED_BITS}


@dataclasses.dataclass(frozen=True)
class ConvertedGraph:
    """A step graph and its tensors.

    Attributes:
        model: model.json without ``weightsManifest``.
        weights: float32, by the names of `Decoder.get_weights`, without the room, which is no part of the graph;
            kernels may be stored in another shape.
        constants: everything else that is constant: axes, slice bounds, the numbers of exp_sigmoid.
    """

    model: dict[str, Any]
    weights: Arrays
    constants: Arrays


def convert_decoder(decoder: Decoder) -> ConvertedGraph:
    """Converts ``decoder.step``.

    The graph takes ``inputs`` [1, 2] and ``state`` [1, state_size] and gives ``controls`` [1, C] and ``next_state``
    [1, state_size], all float32; it has no loops.
    """
    return _with_weights(_compact_step(decoder.spec.without_reverb()), decoder)


def convert_block(decoder: Decoder, *, frames: int, reserved: Collection[str] = ()) -> ConvertedGraph:
    """Converts ``decoder.block``: ``inputs`` [frames, 2] and ``state`` to ``controls`` [frames, C] and ``next_state``.

    Args:
        decoder: trained.
        frames: of a block; a GRU is unrolled over them.
        reserved: names that no node may take, those of the constants of another graph over the same weights.
    """
    from tinytimbre.decoders import build_decoder

    spec = decoder.spec.without_reverb()
    graph, names = _convert(spec, lambda random: random.block, frames=frames), list(build_decoder(spec).get_weights())
    return _with_weights(_split(compact(graph, keep=[*names, *reserved]), names), decoder)


def convert_architecture(spec: DecoderSpec) -> Graph:
    """The step of an architecture as tensorflowjs converts it, with random weights under the decoder's names."""
    return _convert(spec.without_reverb(), lambda decoder: decoder.step, frames=1)


@functools.lru_cache(maxsize=256)
def _compact_step(spec: DecoderSpec) -> ConvertedGraph:
    from tinytimbre.decoders import build_decoder

    names = list(build_decoder(spec).get_weights())
    return _split(compact(convert_architecture(spec), keep=names), names)


def _convert(spec: DecoderSpec, method: Callable[[Decoder], Callable[..., Any]], *, frames: int) -> Graph:
    """A method of a decoder with random weights, converted; the weights under their names."""
    import tensorflow as tf

    from tinytimbre.decoders import build_decoder

    decoder, rng = build_decoder(spec, seed=0), np.random.default_rng(0)
    weights = {k: rng.normal(size=v.shape).astype(np.float32) for k, v in decoder.get_weights().items()}
    decoder.set_weights(weights)
    compute = method(decoder)

    @tf.function(autograph=False)
    def named(inputs: tf.Tensor, state: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        controls, next_state = compute(inputs, state)
        return tf.identity(controls, name=CONTROLS), tf.identity(next_state, name=NEXT_STATE)

    ends = tf.TensorSpec([frames, N_INPUTS], name=INPUTS), tf.TensorSpec([1, spec.state_size], name=STATE)
    # An unrolled graph comes with a copy of each weight per frame.
    converted = convert_function(named.get_concrete_function(*ends), outputs=(CONTROLS, NEXT_STATE))
    if frames > 1:
        converted = share_constants(converted)
    return topology.named(converted, topology.find_weights(converted.tensors, weights))


def _split(graph: Graph, weights: Collection[str]) -> ConvertedGraph:
    return ConvertedGraph(
        model=dict(graph.model),
        weights={name: graph.tensors[name] for name in weights},
        constants={name: value for name, value in graph.tensors.items() if name not in weights},
    )


def _with_weights(graph: ConvertedGraph, decoder: Decoder) -> ConvertedGraph:
    trained = decoder.get_weights()
    weights = {name: trained[name].reshape(value.shape) for name, value in graph.weights.items()}
    return dataclasses.replace(graph, weights=weights)


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
    quantised = _quantised_names(graph.weights, quantisation)
    return [
        _shorter(entry) for entry in write_tensors({**graph.weights, **graph.constants}, path=path, quantised=quantised)
    ]


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


def _quantised_names(weights: Arrays, quantisation: Quantisation) -> dict[str, list[str]]:
    if quantisation == "float32":
        return {}
    if quantisation == "float16":
        return {"float16": list(weights)}
    vectors = [name for name, value in weights.items() if value.ndim < 2]
    return {"uint8": [name for name in weights if name not in vectors], "float16": vectors}
