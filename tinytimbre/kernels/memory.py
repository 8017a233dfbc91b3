"""Arrays that start at a cache line.

A vector of sixteen float32 is a cache line wide: from arrays that start elsewhere, as NumPy's do, every load and store
takes two. And TensorFlow takes over an aligned result of `tf.numpy_function` where it copies any other.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

LINE_BYTES, FLOAT_BYTES = 64, 4


def empty(*shape: int) -> np.ndarray:
    """Float32 of this shape, with whatever is there."""
    return _from_line(np.empty(_bytes_for(shape), np.uint8), shape)


def zeros(*shape: int) -> np.ndarray:
    """Float32 zeros of this shape."""
    return _from_line(np.zeros(_bytes_for(shape), np.uint8), shape)


@njit(cache=True)
def scratch(count: int) -> np.ndarray:
    """Float32 [count] for compiled functions, with whatever is there."""
    room = np.empty(count + LINE_BYTES // FLOAT_BYTES, np.float32)
    first = -room.ctypes.data % LINE_BYTES // FLOAT_BYTES
    return room[first : first + count]


def _bytes_for(shape: tuple[int, ...]) -> int:
    return math.prod(shape) * FLOAT_BYTES + LINE_BYTES


def _from_line(room: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    first = -room.ctypes.data % LINE_BYTES
    return room[first : first + math.prod(shape) * FLOAT_BYTES].view(np.float32).reshape(shape)
