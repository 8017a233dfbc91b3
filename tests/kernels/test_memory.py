"""Arrays that start at a cache line."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tinytimbre.kernels import memory


@pytest.mark.parametrize("shape", [(1,), (3, 5), (7, 2, 1000)])
def test_arrays_start_at_a_cache_line(shape: tuple[int, ...]) -> None:
    # Several, because a single one may lie well by chance.
    arrays = [make(*shape) for make in (memory.empty, memory.zeros) for _ in range(5)]
    arrays += [memory.scratch(int(np.prod(shape))) for _ in range(5)]
    for array in arrays:
        assert array.dtype == np.float32
        assert array.flags.c_contiguous
        assert array.flags.writeable
        assert array.ctypes.data % 64 == 0
    assert all(array.shape == shape for array in arrays[:10])
    assert not any(array.any() for array in arrays[5:10])


def test_tensorflow_takes_them_over_without_a_copy() -> None:
    made = memory.zeros(1000)
    taken = tf.function(lambda: tf.numpy_function(lambda: made, [], tf.float32))()
    made[:] = 1.0
    assert float(tf.reduce_sum(taken)) == 1000.0
