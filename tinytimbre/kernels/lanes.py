"""A vector of sixteen float32 as a Numba type: code that reads like scalar arithmetic works on sixteen signals at once.

    @njit
    def scale(values, factor):
        for row in range(0, len(values), LANES):
            store(values, row, load(values, row) * factor)

LLVM maps the type to whatever the processor has (one AVX-512, two AVX or four SSE/NEON registers). A loop over sixteen
scalars would leave the choice to LLVM's vectoriser, which refuses loops that work in place on one array.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic, models, overload, register_model

LANES = 16

_FLOAT, _INT = ir.FloatType(), ir.IntType(32)
_VECTOR, _INTS = ir.VectorType(_FLOAT, LANES), ir.VectorType(_INT, LANES)
# Lets LLVM fuse a product and a sum; nothing else about rounding changes.
_FLAGS = ("contract",)

# Cody and Waite's split of ln 2, and the minimax polynomial of log(1 + f) / f^3 on sqrt(1/2) <= 1 + f < sqrt(2), as in
# Cephes' logf (Moshier 1989).
_LN2_HIGH, _LN2_LOW = 0.693359375, -2.12194440e-4
_LOG_POLYNOMIAL = (
    7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1,
    -1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
)  # fmt: skip
_SQRT_HALF_BITS, _MANTISSA_BITS = 0x3F3504F3, 23

# Polynomial of (exp(r) - 1 - r) / r^2 on |r| <= ln 2 / 2, as in Cephes' expf.
_EXP_POLYNOMIAL = (
    1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1,
)  # fmt: skip
_LOG2_E, _EXPONENT_BIAS = 1.44269504088896341, 127
# Adding and subtracting 1.5 * 2^23 rounds a float32 to a whole number.
_ROUNDING = 12582912.0


Lanes = Any
"""What a vector is to a type checker; Numba infers the rest."""


class _LanesType(types.Type):
    """Numba's name for the vector."""

    def __init__(self) -> None:
        super().__init__(name=f"float32x{LANES}")


_LANES_TYPE = _LanesType()


@register_model(_LanesType)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, numba_type: types.Type) -> None:
        super().__init__(manager, numba_type, _VECTOR)


def _ints(value: int) -> ir.Constant:
    return ir.Constant(_INTS, [value] * LANES)


def _floats(value: float) -> ir.Constant:
    return ir.Constant(_VECTOR, [value] * LANES)


def _address(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    array = context.make_array(signature.args[0])(context, builder, arguments[0])
    index = context.cast(builder, arguments[1], signature.args[1], types.intp)
    return builder.bitcast(builder.gep(array.data, [index]), _VECTOR.as_pointer())


@intrinsic
def load(typing_context: Any, array: Any, index: Any) -> Any:
    """The sixteen values of a contiguous float32 array from `index` on; the caller keeps inside the array."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(_address(context, builder, signature, arguments), align=4)

    return _LANES_TYPE(array, index), generate


@intrinsic
def store(typing_context: Any, array: Any, index: Any, value: Any) -> Any:
    """Writes sixteen values from `index` on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.store(arguments[2], _address(context, builder, signature, arguments), align=4)
        return context.get_dummy_value()

    return types.void(array, index, _LANES_TYPE), generate


@intrinsic
def splat(typing_context: Any, number: Any) -> Any:
    """One number in all lanes."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        scalar = context.cast(builder, arguments[0], signature.args[0], types.float32)
        empty = ir.Constant(_VECTOR, ir.Undefined)
        first = builder.insert_element(empty, scalar, ir.Constant(_INT, 0))
        return builder.shuffle_vector(first, empty, _ints(0))

    return _LANES_TYPE(number), generate


def _binary(instruction: str, *, flags: tuple[str, ...] = _FLAGS) -> Callable[..., Any]:
    @intrinsic
    def operation(typing_context: Any, left: Any, right: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return getattr(builder, instruction)(*arguments, flags=flags)

        return _LANES_TYPE(_LANES_TYPE, _LANES_TYPE), generate

    return operation


def _define(symbol: Callable[..., Any], instruction: str) -> None:
    """Lets a Python operator work on two vectors, or on a vector and a number."""
    operation = _binary(instruction)

    # Numba compares the signature with that of the lambdas, which cannot be annotated.
    @overload(symbol)
    def _resolve(left, right):  # type: ignore[no-untyped-def]
        vectors = isinstance(left, _LanesType), isinstance(right, _LanesType)
        if vectors == (True, True):
            return lambda left, right: operation(left, right)
        if vectors == (True, False) and isinstance(right, types.Number):
            return lambda left, right: operation(left, splat(right))
        if vectors == (False, True) and isinstance(left, types.Number):
            return lambda left, right: operation(splat(left), right)
        return None


for _symbol, _instruction in (
    (operator.add, "fadd"), (operator.sub, "fsub"), (operator.mul, "fmul"), (operator.truediv, "fdiv"),
):  # fmt: skip
    _define(_symbol, _instruction)

_unfused_product = _binary("fmul", flags=())


@njit(forceinline=True)
def rounded_product(values: Lanes, factor: float) -> Lanes:
    """A product that no sum is fused with: the same bits whether it is stored before it is used or not."""
    return _unfused_product(values, splat(factor))


def _of_llvm(name: str) -> Callable[..., Any]:
    @intrinsic
    def operation(typing_context: Any, value: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            kind = ir.FunctionType(_VECTOR, [_VECTOR])
            function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.{name}.v{LANES}f32")
            return builder.call(function, arguments)

        return _LANES_TYPE(_LANES_TYPE), generate

    return operation


sqrt = _of_llvm("sqrt")
absolute = _of_llvm("fabs")


@intrinsic
def maximum(typing_context: Any, left: Any, right: Any) -> Any:
    """The larger of each pair; NaN on either side gives `left`, so that a NaN there is not swallowed."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.select(builder.fcmp_ordered("<", *arguments), arguments[1], arguments[0])

    return _LANES_TYPE(_LANES_TYPE, _LANES_TYPE), generate


@intrinsic
def sign(typing_context: Any, value: Any) -> Any:
    """-1, 0 or 1."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        zero = _floats(0.0)
        below = builder.select(builder.fcmp_ordered("<", arguments[0], zero), _floats(-1.0), zero)
        return builder.select(builder.fcmp_ordered(">", arguments[0], zero), _floats(1.0), below)

    return _LANES_TYPE(_LANES_TYPE), generate


@intrinsic
def only_above(typing_context: Any, value: Any, limit: Any, result: Any) -> Any:
    """`result` in the lanes where `value` exceeds `limit`, 0 in the others."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.select(builder.fcmp_ordered(">", arguments[0], arguments[1]), arguments[2], _floats(0.0))

    return _LANES_TYPE(_LANES_TYPE, _LANES_TYPE, _LANES_TYPE), generate


@intrinsic
def log(typing_context: Any, value: Any) -> Any:
    """Natural logarithm of positive normal numbers, to 2 units in the last place; NaN and infinity are not kept."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        bits = builder.bitcast(arguments[0], _INTS)
        exponent = builder.ashr(builder.sub(bits, _ints(_SQRT_HALF_BITS)), _ints(_MANTISSA_BITS))
        mantissa = builder.bitcast(builder.sub(bits, builder.shl(exponent, _ints(_MANTISSA_BITS))), _VECTOR)
        return _log_of_parts(builder, builder.sitofp(exponent, _VECTOR), builder.fsub(mantissa, _floats(1.0)))

    return _LANES_TYPE(_LANES_TYPE), generate


def _log_of_parts(builder: Any, exponent: Any, fraction: Any) -> Any:
    square = builder.fmul(fraction, fraction)
    rest = builder.fmul(builder.fmul(_series(builder, _LOG_POLYNOMIAL, fraction), fraction), square)
    rest = _times_plus(builder, exponent, _floats(_LN2_LOW), rest)
    rest = _times_plus(builder, square, _floats(-0.5), rest)
    return _times_plus(builder, exponent, _floats(_LN2_HIGH), builder.fadd(fraction, rest))


@intrinsic
def exp(typing_context: Any, value: Any) -> Any:
    """Exponential to 2 units in the last place; arguments beyond +-87 are taken as +-87."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value = arguments[0]
        for instruction, limit in ((">", _floats(87.0)), ("<", _floats(-87.0))):
            value = builder.select(builder.fcmp_ordered(instruction, value, limit), limit, value)
        scaled = builder.fadd(builder.fmul(value, _floats(_LOG2_E)), _floats(_ROUNDING))
        whole = builder.fsub(scaled, _floats(_ROUNDING))
        rest = _times_plus(builder, whole, _floats(-_LN2_HIGH), value)
        rest = _times_plus(builder, whole, _floats(-_LN2_LOW), rest)
        exponent = builder.add(builder.fptosi(whole, _INTS), _ints(_EXPONENT_BIAS))
        power = builder.bitcast(builder.shl(exponent, _ints(_MANTISSA_BITS)), _VECTOR)
        square = builder.fmul(rest, rest)
        series = _series(builder, _EXP_POLYNOMIAL, rest)
        return builder.fmul(builder.fadd(_times_plus(builder, series, square, rest), _floats(1.0)), power)

    return _LANES_TYPE(_LANES_TYPE), generate


def _times_plus(builder: Any, left: Any, right: Any, addend: Any) -> Any:
    return builder.fadd(builder.fmul(left, right, flags=_FLAGS), addend, flags=_FLAGS)


def _series(builder: Any, coefficients: tuple[float, ...], variable: Any) -> Any:
    """A polynomial by Horner's rule, highest power first."""
    value = _floats(coefficients[0])
    for coefficient in coefficients[1:]:
        value = _times_plus(builder, value, variable, _floats(coefficient))
    return value


@intrinsic
def lane_sum(typing_context: Any, value: Any) -> Any:
    """Sum of the sixteen lanes, added pairwise, a float32."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector, width = arguments[0], LANES
        while width > 1:
            width //= 2
            halves = [
                builder.shuffle_vector(
                    vector, vector, ir.Constant(ir.VectorType(_INT, width), list(range(i, i + width)))
                )
                for i in (0, width)
            ]
            vector = builder.fadd(*halves)
        return builder.extract_element(vector, ir.Constant(_INT, 0))

    return types.float32(_LANES_TYPE), generate


@intrinsic
def transpose_block(
    typing_context: Any, source: Any, first: Any, stride: Any, target: Any, target_first: Any, target_stride: Any
) -> Any:
    """Sixteen vectors, `stride` apart in a contiguous float32 array, become the columns of as many in another."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        def addresses(at: int) -> list[Any]:
            array = context.make_array(signature.args[at])(context, builder, arguments[at])
            start, step = (context.cast(builder, arguments[at + i], signature.args[at + i], types.intp) for i in (1, 2))
            starts = [builder.add(start, builder.mul(step, step.type(row))) for row in range(LANES)]
            return [builder.bitcast(builder.gep(array.data, [row]), _VECTOR.as_pointer()) for row in starts]

        rows = [builder.load(address, align=4) for address in addresses(0)]
        for row, address in zip(_transposed(builder, rows), addresses(3), strict=True):
            builder.store(row, address, align=4)
        return context.get_dummy_value()

    return types.void(source, first, stride, target, target_first, target_stride), generate


def _transposed(builder: Any, rows: list[Any]) -> list[Any]:
    """Exchanges one bit of the row's number with the same bit of the lane's, for each of the four bits."""
    for bit in (8, 4, 2, 1):
        upper = [LANES + (lane ^ bit) if lane & bit else lane for lane in range(LANES)]
        lower = [LANES + lane if lane & bit else lane ^ bit for lane in range(LANES)]
        for first in (row for row in range(LANES) if not row & bit):
            pair = rows[first], rows[first | bit]
            for row, mask in ((first, upper), (first | bit, lower)):
                rows[row] = builder.shuffle_vector(*pair, ir.Constant(_INTS, mask))
    return rows
