"""Bundles: a folder with ``model.json``, ``weights.bin`` and ``settings.json``, written and read back.

    bundles = export_bundle(decoder, settings=settings, quantisations=("float32", "uint8"), output=folder)
    loaded = load_bundle(bundles[1].path)

``loaded.decoder`` then holds the weights that TensorFlow.js sees: rounded by the quantisation, float32 again.
"""

from __future__ import annotations

import dataclasses
import json
import math
import pathlib
import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tinytimbre.config import Quantisation
from tinytimbre.errors import TinyTimbreError
from tinytimbre.export.packing import is_packed, packed_length, unpack
from tinytimbre.export.settings import SETTINGS_FILE, BundleSettings, read_settings

if TYPE_CHECKING:
    from tinytimbre.decoders import Decoder

MODEL_FILE, WEIGHTS_FILE = "model.json", "weights.bin"
STORED_TYPES = ("float32", "int32", "bool", "float16", "uint16", "uint8")
BUNDLE_FILES = (MODEL_FILE, WEIGHTS_FILE, SETTINGS_FILE)


@dataclasses.dataclass(frozen=True)
class Bundle:
    """An exported model on disk."""

    path: pathlib.Path
    quantisation: Quantisation
    settings: BundleSettings


@dataclasses.dataclass(frozen=True)
class LoadedBundle:
    """An exported model as Python sees it: ``decoder`` holds the dequantised weights."""

    settings: BundleSettings
    decoder: Decoder


def export_bundle(
    decoder: Decoder,
    *,
    settings: BundleSettings,
    quantisations: Sequence[Quantisation],
    output: str | pathlib.Path,
) -> list[Bundle]:
    """Writes ``<output>/<quantisation>/`` for each quantisation, from one conversion.

    Args:
        decoder: trained.
        settings: as `make_settings` gives them; the quantisation is set here.
        quantisations: each a folder.
        output: made where it does not exist; bundles of the same name are replaced.

    Raises:
        ValueError: `settings` describe another decoder or another room.
        TinyTimbreError: a weight is not finite.
    """
    from tinytimbre.export.graphs import convert_decoder, write_graph

    if settings.decoder != decoder.spec:
        raise ValueError(f"settings describe {settings.decoder}, the decoder is {decoder.spec}")
    _check_finite(decoder)
    if settings.reverb != decoder.reverb:
        raise ValueError(f"settings have the room {settings.reverb}, the decoder {decoder.reverb}")
    graph = convert_decoder(decoder)
    bundles = []
    for quantisation in quantisations:
        path = pathlib.Path(output) / quantisation
        write_graph(graph, quantisation=quantisation, output=path)
        own = settings.model_copy(update={"quantisation": quantisation, "checksum": checksum(path)})
        (path / SETTINGS_FILE).write_text(own.to_json(), encoding="utf-8")
        bundles.append(Bundle(path=path, quantisation=quantisation, settings=own))
    return bundles


def load_bundle(bundle_dir: str | pathlib.Path) -> LoadedBundle:
    """Reads a bundle into a `Decoder`, dequantising as TensorFlow.js does.

    Raises:
        TinyTimbreError: see `validate_bundle`.
    """
    from tinytimbre.decoders.base import REVERB, build_decoder

    settings, tensors = validate_bundle(bundle_dir), read_tensors(bundle_dir)
    if settings.reverb is not None:  # the only weight that is no tensor of the graph
        tensors[REVERB] = settings.reverb.to_weights()
    decoder = build_decoder(settings.decoder, seed=0)
    shapes = {name: value.shape for name, value in decoder.get_weights().items()}
    wrong = [n for n, shape in shapes.items() if n not in tensors or tensors[n].size != math.prod(shape)]
    if wrong:
        raise TinyTimbreError(
            f"{MODEL_FILE} must hold every weight of the decoder that {SETTINGS_FILE} describes",
            got=f"{bundle_dir}: {', '.join(wrong)} missing or of another size",
            cause="files of two models were mixed",
            remedy="export or publish the model again",
        )
    decoder.set_weights({name: tensors[name].reshape(shape) for name, shape in shapes.items()})
    return LoadedBundle(settings=settings, decoder=decoder)


def validate_bundle(bundle_dir: str | pathlib.Path) -> BundleSettings:
    """Checks that a folder holds a whole bundle, without TensorFlow; gives its settings.

    Raises:
        TinyTimbreError: a file is missing, unreadable, cut short, changed, or of another format version.
    """
    settings, folder = read_settings(bundle_dir), pathlib.Path(bundle_dir)
    read_tensors(folder)
    _check_sum(folder, settings)
    return settings


def read_tensors(bundle_dir: str | pathlib.Path) -> dict[str, np.ndarray]:
    """All constants of a bundle's graph by name, dequantised to float32 (or int32) as every reader must.

    Raises:
        TinyTimbreError: a file is missing or unreadable, or its length is not what model.json says.
    """
    folder = pathlib.Path(bundle_dir)
    entries = _manifest(folder)
    data = _read(folder / WEIGHTS_FILE)
    sizes = [_stored_length(entry, folder=folder) for entry in entries]
    if len(data) != sum(sizes):
        raise _misfit(
            f"{WEIGHTS_FILE} must hold {sum(sizes)} bytes, as {MODEL_FILE} says", folder, f"{len(data)} bytes"
        )
    ends = np.cumsum(sizes)
    return {e["name"]: _decode(e, data[end - n : end]) for e, n, end in zip(entries, sizes, ends, strict=True)}


def checksum(bundle_dir: str | pathlib.Path) -> str:
    """CRC-32 of model.json followed by weights.bin, as eight hexadecimal digits."""
    folder = pathlib.Path(bundle_dir)
    return f"{zlib.crc32(_read(folder / MODEL_FILE) + _read(folder / WEIGHTS_FILE)):08x}"


def _check_sum(folder: pathlib.Path, settings: BundleSettings) -> None:
    """Version 1 has none; from version 2 on, what was exported is what is read."""
    found = checksum(folder)
    if settings.format_version > 1 and found != settings.checksum:
        rule = f"{MODEL_FILE} and {WEIGHTS_FILE} must be those that {SETTINGS_FILE} was written for"
        raise _misfit(rule, folder, f"checksum {found}, not {settings.checksum or 'given'}")


def _misfit(rule: str, folder: pathlib.Path, got: str) -> TinyTimbreError:
    return TinyTimbreError(
        rule,
        got=f"{folder}: {got}",
        cause="the copy was cut short, a file was changed, or files of two models were mixed",
        remedy="copy the folder again, or export the model again",
    )


def _stored_length(entry: dict[str, Any], *, folder: pathlib.Path) -> int:
    try:
        if is_packed(entry):
            return packed_length(entry)
        return int(math.prod(entry["shape"])) * _stored_dtype(entry).itemsize
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise _misfit(f"{MODEL_FILE} must list tensors that can be read", folder, f"{entry}: {error}") from error


def _decode(entry: dict[str, Any], data: bytes) -> np.ndarray:
    """One tensor; unless it is packed, tfjs-core's ``decodeWeights``: stored * scale + min in double, then float32."""
    if is_packed(entry):
        return unpack(data, entry)
    stored = np.frombuffer(data, _stored_dtype(entry)).reshape(entry["shape"])
    quantisation = entry.get("quantization", {})
    if "scale" in quantisation:
        stored = stored.astype(np.float64) * quantisation["scale"] + quantisation["min"]
    return stored.astype(entry["dtype"])


def _stored_dtype(entry: dict[str, Any]) -> np.dtype[Any]:
    dtype = entry.get("quantization", entry)["dtype"]
    if dtype not in STORED_TYPES:
        raise ValueError(f"unknown type {dtype!r}")
    return np.dtype(dtype).newbyteorder("<")


def _manifest(folder: pathlib.Path) -> list[dict[str, Any]]:
    """The tensors that model.json lists, in the order of weights.bin."""
    path = folder / MODEL_FILE
    try:
        [group] = json.loads(_read(path))["weightsManifest"]
        if group["paths"] != [WEIGHTS_FILE]:
            raise ValueError(f"weights in {group['paths']}")
        return list(group["weights"])
    except (ValueError, KeyError, TypeError) as error:
        raise TinyTimbreError(
            f"{MODEL_FILE} must be a TensorFlow.js graph model with one weight file, {WEIGHTS_FILE}",
            got=f"{path}: {type(error).__name__}: {error}",
            cause="the file was cut short, or is not one of TinyTimbre's",
            remedy="export or publish the model again",
        ) from error


def _read(path: pathlib.Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise TinyTimbreError(
            f"a model is a folder with {', '.join(BUNDLE_FILES)}",
            got=f"{path}: {error.strerror}",
            remedy="give the folder that holds all three",
        ) from error


def _check_finite(decoder: Decoder) -> None:
    broken = [name for name, value in decoder.get_weights().items() if not np.isfinite(value).all()]
    if broken:
        raise TinyTimbreError(
            "an exported decoder needs finite weights",
            got=f"NaN or infinity in {', '.join(broken)}",
            cause="the training diverged",
            remedy="lower training.learning_rate",
        )
