"""What TensorFlow.js 4.22 reads of a node's attributes.

The converter writes all that TensorFlow knows; the graph executor reads a few. `READ` lists, for the operations that
converted models of ours and ddsp's consist of, the attributes that change what is computed, with the value assumed
where one is missing. A test compares the table with the executor's own lists.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NO, ZERO = {"b": False}, {"i": "0"}
ALWAYS: None = None
"""No value is assumed: the attribute stays."""

WITHOUT = (
    "Const", "Identity", "Add", "AddV2", "AddN", "BiasAdd", "Sub", "Mul", "RealDiv", "Div", "Maximum", "Minimum", "Pow",
    "SquaredDifference", "Mod", "FloorMod", "Abs", "Neg", "Cos", "Sin", "Exp", "Floor", "Log", "Log1p", "Sqrt", "Rsqrt",
    "Square", "Tanh", "Sigmoid", "Relu", "Softplus", "Less", "LessEqual", "Greater", "GreaterEqual", "Select",
    "SelectV2", "Complex", "Real", "Imag", "RFFT", "IRFFT", "FFT", "IFFT", "Reshape", "Transpose", "Slice", "SplitV",
    "Tile", "ReverseV2", "ExpandDims", "PadV2", "SpaceToBatchND", "BatchToSpaceND",
)  # fmt: skip
MASKS = ("begin_mask", "end_mask", "new_axis_mask", "ellipsis_mask", "shrink_axis_mask")
READ: Mapping[str, Mapping[str, Any]] = {
    **{op: {} for op in WITHOUT},
    **{op: {"keep_dims": NO} for op in ("Sum", "Mean", "Max", "Min", "Prod")},
    # The table of inputs also lists epsilon; the products have no use for it.
    "_FusedMatMul": {
        "num_args": ALWAYS, "fused_ops": ALWAYS, "transpose_a": NO, "transpose_b": NO, "leakyrelu_alpha": {"f": 0.2},
    },
    "MatMul": {"transpose_a": NO, "transpose_b": NO},
    "BatchMatMul": {"adj_x": NO, "adj_y": NO},
    "BatchMatMulV2": {"adj_x": NO, "adj_y": NO},
    "Fill": {"T": ALWAYS},
    "Placeholder": {"shape": ALWAYS, "dtype": ALWAYS},
    "ConcatV2": {"N": {"i": "2"}},
    "Split": {"num_split": ALWAYS},
    "StridedSlice": dict.fromkeys(MASKS, ZERO),
    "Pack": {"axis": ZERO},
    "GatherV2": {"batch_dims": ZERO},
    "Cumsum": {"exclusive": NO, "reverse": NO},
}  # fmt: skip


def smaller_attributes(node: Mapping[str, Any]) -> dict[str, Any]:
    """The node without attributes that do not matter; those of an operation that is not in `READ` stay."""
    attributes = {key: value for key, value in node.get("attr", {}).items() if not key.startswith("_")}
    read = READ.get(node["op"])
    if read is not None:
        attributes = {key: value for key, value in attributes.items() if key in read and value != read[key]}
    rest = {key: value for key, value in node.items() if key not in ("attr", "device")}
    return {**rest, "attr": dict(sorted(attributes.items()))} if attributes else rest
