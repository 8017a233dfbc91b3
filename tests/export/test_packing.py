from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tinytimbre.export.packing import FINE_BITS, is_packed, pack, pack_weight, packed_bits, packed_length, unpack

# Weights are of this order; a subnormal scale would lose its four digits.
WEIGHTS = st.floats(-50, 50, width=32, allow_subnormal=False).map(lambda x: 0.0 if abs(x) < 1e-6 else x)
SHAPES = arrays.array_shapes(min_dims=1, max_dims=3, max_side=6)


def stored(value, **how):
    packed = pack(value, **how)
    # Through text, as it travels.
    entry = {"name": "w", "shape": list(value.shape), "dtype": "float32", "quantization": packed.quantization}
    return packed, json.loads(json.dumps(entry))


@given(arrays.arrays(np.float32, SHAPES, elements=WEIGHTS), st.integers(2, 16))
@settings(max_examples=60, deadline=None)
def test_one_step_for_all_loses_half_a_step(value, bits):
    packed, entry = stored(value, bits=bits)
    restored = unpack(packed.data, entry)
    step = packed.quantization["scale"]
    assert np.abs(restored - value).max(initial=0) <= 0.5001 * step + 1e-6 * np.abs(value).max(initial=0)
    # The step is the smallest with four digits that reaches the largest weight.
    assert step * (2 ** (bits - 1) - 1) <= 1.0011 * np.abs(value).max(initial=0)
    assert restored.dtype == np.float32
    assert restored.shape == value.shape
    assert len(packed.data) == packed_length(entry) == value.size * (1 if bits <= 8 else 2)


@given(arrays.arrays(np.float32, st.tuples(st.integers(1, 7), st.integers(1, 7)), elements=WEIGHTS))
@settings(max_examples=60, deadline=None)
def test_a_step_per_column_is_that_of_its_own_range(value):
    packed, entry = stored(value, bits=6, axis=-1)
    restored = unpack(packed.data, entry)
    # Half a step of the column's range, and up to another by which a column's multiple is rounded up; clipping is
    # chosen only where it lowers the squared error of the column, so the root of the sum bounds it all.
    step = np.abs(value).max(axis=0) / 31 + np.abs(value).max(initial=0) * 1.001 / 31 / 255
    assert (np.sqrt(((restored - value) ** 2).sum(axis=0)) <= 0.5001 * step * np.sqrt(len(value)) + 1e-6).all()
    assert len(packed.data) == packed_length(entry) == value.size + value.shape[1]


def test_values_follow_the_documented_bytes():
    packed, entry = stored(np.array([[1.0, -0.5], [0.25, 0.125]], np.float32), bits=8, axis=1)
    scale, multiples = packed.quantization["scale"], list(packed.data[:2])
    integers = np.array([(b + 128) % 256 - 128 for b in packed.data[2:]]).reshape(2, 2)
    assert packed.quantization.keys() == {"dtype", "scale", "axis"}
    assert packed.quantization["axis"] == 1
    expected = [[np.float32(q * m * scale) for q, m in zip(row, multiples, strict=True)] for row in integers.tolist()]
    np.testing.assert_array_equal(unpack(packed.data, entry), np.array(expected))

    packed, entry = stored(np.array([3.0, -2.0, 0.001], np.float32), bits=12)
    high, low = np.frombuffer(packed.data[:3], np.int8), np.frombuffer(packed.data[3:], np.uint8)
    expected = [
        np.float32((int(h) * 256 + int(w)) * packed.quantization["scale"]) for h, w in zip(high, low, strict=True)
    ]
    np.testing.assert_array_equal(unpack(packed.data, entry), expected)


def test_outliers_are_clipped_when_the_column_gains():
    column = np.append(np.linspace(-1, 1, 600), 2.0).astype(np.float32)[:, np.newaxis]
    packed, entry = stored(column, bits=4, axis=1)
    lost = ((unpack(packed.data, entry) - column) ** 2).sum()
    plain = (np.round(column / (2 / 7)) * (2 / 7) - column) ** 2
    assert lost < 0.8 * plain.sum()


@pytest.mark.parametrize("value", [np.zeros((3, 4), np.float32), np.zeros(5, np.float32), np.zeros((2, 0), np.float32)])
def test_nothing_stays_nothing(value):
    for axis in (None, 0):
        packed, entry = stored(value, bits=6, axis=axis)
        np.testing.assert_array_equal(unpack(packed.data, entry), value)


def test_what_is_small_or_acts_on_the_inputs_stays_fine():
    rng = np.random.default_rng(0)
    shapes = {"gru_kernel": (2, 24), "gru_bias": (24,), "head_kernel": (8, 20), "conv0_kernel": (24, 8)}
    dtypes = {n: pack_weight(rng.normal(size=s), bits=4).quantization["dtype"] for n, s in shapes.items()}
    assert dtypes == {
        "gru_kernel": f"int{FINE_BITS}", "gru_bias": f"int{FINE_BITS}", "head_kernel": "int4", "conv0_kernel": "int4",
    }  # fmt: skip


def test_names_of_types():
    assert is_packed({"quantization": {"dtype": "int4", "scale": 1.0}})
    assert not is_packed({"dtype": "int32"})
    assert not is_packed({"quantization": {"dtype": "uint8", "scale": 1.0, "min": 0.0}})
    assert packed_bits("int12") == 12
    with pytest.raises(ValueError, match="int32"):
        packed_bits("int32")
