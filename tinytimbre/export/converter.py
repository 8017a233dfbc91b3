"""The one door to `tensorflowjs`: functions become graph models, tensors become weight files.

graph = convert_function(function.get_concrete_function(...), outputs=("controls", "next_state"))
entries = write_tensors(graph.tensors, path=folder / "weights.bin", quantised={"float16": ["head_kernel"]})
"""

from __future__ import annotations

import contextlib
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
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tinytimbre.ddsp_door import use_legacy_keras
from tinytimbre.export.bundle import MODEL_FILE
from tinytimbre.export.compaction import Graph

# What tensorflowjs imports for inputs we never give it (decision forests, JAX functions).
STUBBED = ("tensorflow_decision_forests", "jax", "jax.experimental", "jax.experimental.jax2tf")
# One file whatever the size: a second request costs a client more than a cache larger than 4 MB.
ONE_SHARD = 2**40


def convert_function(function: Any, *, outputs: Sequence[str]) -> Graph:
    """What tensorflowjs makes of a concrete function, with its variables as constants and a signature.

    Args:
        function: a concrete function whose arguments are all named.
        outputs: names of the nodes that are asked for, in the signature's order.
    """
    from tensorflow.python.framework import convert_to_constants

    frozen = convert_to_constants.convert_variables_to_constants_v2(function)
    inputs = [tensor.op.name for tensor in frozen.inputs]
    with tempfile.TemporaryDirectory(prefix="tinytimbre-convert-") as folder:
        path = pathlib.Path(folder) / "frozen.pb"
        path.write_bytes(frozen.graph.as_graph_def().SerializeToString())
        model, tensors = _converted(path, outputs=outputs)
    signature = {
        "inputs": {name: {"name": f"{name}:0"} for name in inputs},
        "outputs": {name: {"name": f"{name}:0"} for name in outputs},
    }
    return Graph({**model, "signature": signature}, tensors)


def _converted(path: pathlib.Path, *, outputs: Sequence[str]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The model.json that tensorflowjs writes, without its manifest, and its tensors by node name."""
    folder = path.parent
    converter = _tensorflowjs("converters.tf_saved_model_conversion_v2")
    with _quiet():
        converter.convert_tf_frozen_model(str(path), ",".join(outputs), str(folder))
    model = json.loads((folder / MODEL_FILE).read_text())
    groups = _tensorflowjs("read_weights").read_weights(model.pop("weightsManifest"), str(folder), flatten=True)
    return model, {entry["name"]: np.array(entry["data"]) for entry in groups}


def write_tensors(
    tensors: Mapping[str, np.ndarray], *, path: pathlib.Path, quantised: Mapping[str, Sequence[str]]
) -> list[dict[str, Any]]:
    """Writes tensors into one file, some in tensorflowjs' own quantisations; gives the manifest's entries.

    Args:
        tensors: in the order in which they are written.
        path: of the file, in a folder that is there.
        quantised: "float16", "uint8" or "uint16" -> names of the tensors stored so.
    """
    with _quiet():
        [group] = _tensorflowjs("write_weights").write_weights(
            [[{"name": name, "data": value} for name, value in tensors.items()]],
            str(path.parent),
            shard_size_bytes=ONE_SHARD,
            write_manifest=False,
            quantization_dtype_map={dtype: list(names) for dtype, names in quantised.items()} or None,
        )
    (path.parent / group["paths"][0]).replace(path)
    return list(group["weights"])


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
