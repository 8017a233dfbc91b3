"""Weights in few bits, laid out so that general compression finds what they have in common.

    stored = pack(kernel, bits=6, axis=-1)
    stored.quantization, stored.data          # the manifest's "quantization" of this tensor, its bytes in weights.bin
    unpack(stored.data, entry)                # float32, as every reader must compute it

A weight is an integer of ``bits`` bits times a step; with an axis, each of its channels has a step of its own, a
multiple from 0 to 255 of the tensor's ``scale``. The bytes are: a multiple per channel (uint8), then the integers,
one signed byte each in row-major order, however few bits they use. Beyond 8 bits a plane of high bytes (signed) comes
before a plane of low bytes (unsigned). Packing several integers into a byte would make the file smaller on disk and
larger after brotli, which is what travels: ``benchmarks/bundles.py`` prints the comparison.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from tinytimbre.decoders.spec import N_INPUTS

PACKED = re.compile(r"^int(?P<bits>[2-9]|1[0-6])$")
MAX_MULTIPLE = 255
FINE_BITS = 12
# Shares of a channel's range at which larger weights may be clipped, so that the others get a finer step.
CLIPS = np.arange(0.5, 1.001, 0.02)


@dataclasses.dataclass(frozen=True)
class Packed:
    """A tensor as it is stored; ``quantization`` is ``{"dtype": "int6", "scale": …, "axis": …}``."""

    quantization: dict[str, Any]
    data: bytes


def pack(value: np.ndarray, *, bits: int, axis: int | None = None) -> Packed:
    """Stores a float32 tensor in integers of ``bits`` bits, 2 to 16, symmetric around zero.

    Args:
        value: finite, of any shape.
        bits: of each integer, its sign included.
        axis: whose entries each get the step that loses least of them; None: one step for all.
    """
    top = 2 ** (bits - 1) - 1
    if axis is None:
        scale = _rounded_up(float(np.abs(value).max(initial=0.0)) / top)
        integers = _quantised(value, np.array(scale), top)
        return Packed({"dtype": f"int{bits}", "scale": scale}, _planes(integers, bits))
    rows = np.moveaxis(value, axis, 0).reshape(value.shape[axis], -1).astype(np.float64)
    scale = _rounded_up(float(np.abs(rows).max(initial=0.0)) / top / MAX_MULTIPLE)
    multiples = _best_multiples(rows, scale=scale, top=top)
    shape = [-1 if place == axis % value.ndim else 1 for place in range(value.ndim)]
    integers = _quantised(value, multiples.reshape(shape) * scale, top)
    data = multiples.astype(np.uint8).tobytes() + _planes(integers, bits)
    return Packed({"dtype": f"int{bits}", "scale": scale, "axis": axis % value.ndim}, data)


def pack_weight(value: np.ndarray, *, bits: int) -> Packed:
    """A weight of a decoder: matrices in ``bits``, a step per column; vectors and the inputs' kernel in 12 bits.

    The kernel of the two inputs has two numbers a column, which carry the whole range of pitch and level.
    """
    if value.ndim < 2 or value.size <= N_INPUTS * value.shape[-1]:
        return pack(value, bits=FINE_BITS)
    return pack(value, bits=bits, axis=-1)


def rounded(value: np.ndarray, *, bits: int) -> np.ndarray:
    """What a reader gets of a decoder's weight that was stored in ``bits``, float32 of the same shape."""
    packed = pack_weight(value, bits=bits)
    return unpack(packed.data, {"shape": value.shape, "quantization": packed.quantization})


def unpack(data: bytes, entry: Mapping[str, Any]) -> np.ndarray:
    """The tensor of a manifest entry: integer * multiple * scale in double precision, rounded to float32."""
    quantization, shape = entry["quantization"], tuple(entry["shape"])
    axis, bits = quantization.get("axis"), packed_bits(quantization["dtype"])
    channels = 0 if axis is None else shape[axis]
    steps = np.float64(quantization["scale"])
    if axis is not None:
        multiples = np.frombuffer(data[:channels], np.uint8).astype(np.float64)
        layout = [channels if place == axis else 1 for place in range(len(shape))]
        return (_integers(data[channels:], shape, bits) * multiples.reshape(layout) * steps).astype(np.float32)
    return (_integers(data, shape, bits) * steps).astype(np.float32)


def packed_length(entry: Mapping[str, Any]) -> int:
    """Bytes in weights.bin of a manifest entry."""
    quantization, shape = entry["quantization"], entry["shape"]
    channels = shape[quantization["axis"]] if "axis" in quantization else 0
    return int(channels + math.prod(shape) * (1 if packed_bits(quantization["dtype"]) <= 8 else 2))


def is_packed(entry: Mapping[str, Any]) -> bool:
    """Whether a manifest entry is stored by `pack`, not as the converter would."""
    return PACKED.match(entry.get("quantization", {}).get("dtype", "")) is not None


def packed_bits(dtype: str) -> int:
    """6 for "int6".

    Raises:
        ValueError: it is none of int2 to int16.
    """
    match = PACKED.match(dtype)
    if match is None:
        raise ValueError(f"unknown quantisation {dtype!r}")
    return int(match["bits"])


def _rounded_up(value: float) -> float:
    """To four significant digits, which cost less than seventeen in JSON; up, so that the largest weight fits."""
    rounded = float(f"{value:.3e}")
    if rounded < value:
        rounded = float(f"{rounded + 10.0 ** (math.floor(math.log10(value)) - 3):.3e}")
    return rounded


def _best_multiples(rows: np.ndarray, *, scale: float, top: int) -> np.ndarray:
    """For each row [channels, n] the multiple of ``scale`` with the least squared error."""
    if scale == 0.0:
        return np.zeros(len(rows))
    peaks = np.abs(rows).max(axis=1) / (top * scale)
    tried = np.ceil(np.clip(peaks[:, np.newaxis] * CLIPS, 0, MAX_MULTIPLE))
    steps = (tried * scale)[..., np.newaxis]
    lost = (_quantised(rows[:, np.newaxis], steps, top) * steps - rows[:, np.newaxis]) ** 2
    return tried[np.arange(len(rows)), lost.sum(axis=2).argmin(axis=1)]


def _quantised(value: np.ndarray, steps: np.ndarray, top: int) -> np.ndarray:
    """Nearest integers within ±top; 0 where the step is 0."""
    return np.clip(np.rint(value / np.where(steps == 0, np.inf, steps)), -top, top)


def _planes(integers: np.ndarray, bits: int) -> bytes:
    flat = integers.astype(np.int16).ravel()
    if bits <= 8:
        return flat.astype(np.int8).tobytes()
    return (flat >> 8).astype(np.int8).tobytes() + (flat & 255).astype(np.uint8).tobytes()


def _integers(data: bytes, shape: tuple[int, ...], bits: int) -> np.ndarray:
    """Float64 of the given shape."""
    size = math.prod(shape)
    high = np.frombuffer(data, np.int8, size).astype(np.float64)
    if bits > 8:
        high = high * 256 + np.frombuffer(data, np.uint8, size, offset=size)
    return high.reshape(shape)
