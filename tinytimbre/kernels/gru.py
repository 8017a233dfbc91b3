"""All steps of a GRU and of its backward pass, without a framework between the steps.

A step is one product with the state, eight rows by thirty-two columns at a time in registers, and the gates. Units come
in multiples of 32 (`UNITS`); units that are only filling have zero weights and stay zero.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from tinytimbre.kernels import memory
from tinytimbre.kernels.lanes import LANES, Lanes, exp, load, splat, store

UNITS = 2 * LANES
ROWS = 8


def forward_scan(
    inputs: np.ndarray, weights: np.ndarray, kernel: np.ndarray, bias: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """All hidden states of a GRU that starts from zero; see `tinytimbre.decoders.gru` for the cell.

    Args:
        inputs: float32 [batch, frames, n], few: they are projected on the way, never stored projected.
        weights: float32 [n + 1, 3 * units], kernel and, last, bias of the inputs; gates in the order z, r, n.
        kernel: float32 [units, 3 * units].
        bias: float32 [3 * units].

    Returns:
        float32 [frames, batch, units + filling], and for `backward_scan` [frames, batch, 4 * (units + filling)]: z, r,
        n, h R_n + c_n.
    """
    batch, frames, _ = inputs.shape
    filled = filled_units(len(kernel))
    rows = -(-batch // ROWS) * ROWS
    hidden = memory.empty(frames, batch, filled)
    gates = memory.empty(frames, batch, 4 * filled)
    _forward_scan(inputs, _filled(weights), _panels(_filled_kernel(kernel)), _filled(bias),
                  memory.zeros(rows, filled), memory.zeros(rows, 3 * filled),
                  hidden, gates)  # fmt: skip
    return hidden, gates


def backward_scan(
    upstream: np.ndarray, inputs: np.ndarray, hidden: np.ndarray, gates: np.ndarray, kernel: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Gradients of the inputs' weights [n + 1, 3 * units] and of ``h R + c`` [frames, batch, 3 * units].

    Args:
        upstream: float32 [batch, frames, units], of the hidden states.
        inputs: of `forward_scan`.
        hidden: from `forward_scan`.
        gates: from `forward_scan`.
        kernel: float32 [units, 3 * units].
    """
    batch, frames, units = upstream.shape
    filled = filled_units(units)
    rows = -(-batch // ROWS) * ROWS
    weights = memory.zeros(inputs.shape[2] + 1, 3 * filled)
    recurrent = memory.empty(frames, batch, 3 * filled)
    if filled > units:
        upstream = np.pad(upstream, ((0, 0), (0, 0), (0, filled - units)))
    _backward_scan(upstream, inputs, hidden, gates, _panels(_filled_kernel(kernel).T),
                   memory.zeros(rows, filled), memory.zeros(rows, 3 * filled),
                   weights, recurrent)  # fmt: skip
    return _emptied(weights, units), _emptied(recurrent, units)


def filled_units(units: int) -> int:
    """Units with those that fill up to whole `UNITS`."""
    return units + -units % UNITS


def _filled(gates: np.ndarray) -> np.ndarray:
    """Three gates side by side, each filled up with zeros to whole `UNITS`."""
    parts = gates.reshape(*gates.shape[:-1], 3, -1)
    fill = -parts.shape[-1] % UNITS
    if not fill:
        return gates
    return np.pad(parts, [(0, 0)] * (parts.ndim - 1) + [(0, fill)]).reshape(*gates.shape[:-1], -1)


def _filled_kernel(kernel: np.ndarray) -> np.ndarray:
    return np.pad(_filled(kernel), ((0, -len(kernel) % UNITS), (0, 0))) if len(kernel) % UNITS else kernel


def _emptied(gates: np.ndarray, units: int) -> np.ndarray:
    """The inverse of `_filled`."""
    if not units % UNITS:
        return gates
    parts = gates.reshape(*gates.shape[:-1], 3, -1)
    emptied = memory.empty(*gates.shape[:-1], 3 * units)
    emptied.reshape(*parts.shape[:-1], units)[...] = parts[..., :units]
    return emptied


def _panels(matrix: np.ndarray) -> np.ndarray:
    """A matrix [n, m] as m / 32 contiguous panels [n, 32], so that a product reads it in order."""
    panels = memory.empty(matrix.shape[1] // UNITS, len(matrix), UNITS)
    panels[...] = matrix.reshape(len(matrix), -1, UNITS).transpose(1, 0, 2)
    return panels


@njit(cache=True, fastmath={"contract"}, error_model="numpy")
def _forward_scan(
    inputs: np.ndarray, weights: np.ndarray, panels: np.ndarray, bias: np.ndarray, state: np.ndarray,
    product: np.ndarray, hidden: np.ndarray, gates: np.ndarray,
) -> None:  # fmt: skip
    batch, frames, _ = inputs.shape
    units = state.shape[1]
    one = splat(np.float32(1.0))
    for frame in range(frames):
        for row in range(len(product)):
            product[row] = bias
        _add_product(product, state, panels)
        for b in range(batch):
            x, h = inputs[b, frame], product[b]
            for u in range(0, units, LANES):
                z = one / (one + exp(splat(np.float32(0.0)) - (_projected(x, weights, u) + load(h, u))))
                r = one / (one + exp(splat(np.float32(0.0)) - (_projected(x, weights, u + units) + load(h, u + units))))
                hn = load(h, u + 2 * units)
                # tanh(a) = 1 - 2 / (exp(2 a) + 1)
                n = one - (one + one) / (exp((_projected(x, weights, u + 2 * units) + r * hn) * 2.0) + one)
                after = n + z * (load(state[b], u) - n)
                store(state[b], u, after)
                store(hidden[frame, b], u, after)
                saved = gates[frame, b]
                store(saved, u, z)
                store(saved, u + units, r)
                store(saved, u + 2 * units, n)
                store(saved, u + 3 * units, hn)


@njit(cache=True, fastmath={"contract"}, error_model="numpy")
def _backward_scan(
    upstream: np.ndarray, inputs: np.ndarray, hidden: np.ndarray, gates: np.ndarray, panels: np.ndarray,
    carried: np.ndarray, recurrent: np.ndarray, d_weights: np.ndarray, d_recurrent: np.ndarray,
) -> None:  # fmt: skip
    batch, frames, units = upstream.shape
    one, nothing = splat(np.float32(1.0)), np.zeros(units, np.float32)
    for frame in range(frames - 1, -1, -1):
        for b in range(batch):
            x, saved, total = inputs[b, frame], gates[frame, b], carried[b]
            previous = hidden[frame - 1, b] if frame > 0 else nothing
            for u in range(0, units, LANES):
                z, r = load(saved, u), load(saved, u + units)
                n, hn = load(saved, u + 2 * units), load(saved, u + 3 * units)
                whole = load(total, u) + load(upstream[b, frame], u)
                dn = whole * (one - z) * (one - n * n)
                dz = whole * (load(previous, u) - n) * z * (one - z)
                dr = dn * hn * r * (one - r)
                _add_outer(d_weights, x, u, dz)
                _add_outer(d_weights, x, u + units, dr)
                _add_outer(d_weights, x, u + 2 * units, dn)
                store(recurrent[b], u, dz)
                store(recurrent[b], u + units, dr)
                store(recurrent[b], u + 2 * units, dn * r)
                store(total, u, whole * z)
            d_recurrent[frame, b] = recurrent[b]
        _add_product(carried, recurrent, panels)


@njit(cache=True, fastmath={"contract"}, error_model="numpy")
def _projected(x: np.ndarray, weights: np.ndarray, at: int) -> Lanes:
    """Sixteen columns of ``x W + b`` from `at` on."""
    value = load(weights[len(x)], at)
    for i in range(len(x)):
        value = value + load(weights[i], at) * x[i]
    return value


@njit(cache=True, fastmath={"contract"}, error_model="numpy")
def _add_outer(sums: np.ndarray, x: np.ndarray, at: int, gradient: Lanes) -> None:
    """The transpose of `_projected` with respect to the weights."""
    for i in range(len(x)):
        store(sums[i], at, load(sums[i], at) + gradient * x[i])
    store(sums[len(x)], at, load(sums[len(x)], at) + gradient)


@njit(cache=True, fastmath={"contract"}, error_model="numpy")
def _add_product(out: np.ndarray, left: np.ndarray, panels: np.ndarray) -> None:
    """Adds ``left @ matrix`` to `out`: [rows, m] += [rows, n] [n, m], rows in eights, the matrix in panels."""
    for panel in range(len(panels)):
        for row in range(0, len(out), ROWS):
            _add_tile(out[row : row + ROWS], panel * UNITS, left[row : row + ROWS], panels[panel].reshape(-1))


@njit(cache=True, fastmath={"contract"}, error_model="numpy")
def _add_tile(out: np.ndarray, at: int, left: np.ndarray, panel: np.ndarray) -> None:
    """Sixteen sums, two for each row, which stay in registers."""
    beyond = at + LANES
    l0, a0, b0 = left[0], load(out[0], at), load(out[0], beyond)
    l1, a1, b1 = left[1], load(out[1], at), load(out[1], beyond)
    l2, a2, b2 = left[2], load(out[2], at), load(out[2], beyond)
    l3, a3, b3 = left[3], load(out[3], at), load(out[3], beyond)
    l4, a4, b4 = left[4], load(out[4], at), load(out[4], beyond)
    l5, a5, b5 = left[5], load(out[5], at), load(out[5], beyond)
    l6, a6, b6 = left[6], load(out[6], at), load(out[6], beyond)
    l7, a7, b7 = left[7], load(out[7], at), load(out[7], beyond)
    for k in range(left.shape[1]):
        a, b = load(panel, k * UNITS), load(panel, k * UNITS + LANES)
        a0, b0 = a0 + a * l0[k], b0 + b * l0[k]
        a1, b1 = a1 + a * l1[k], b1 + b * l1[k]
        a2, b2 = a2 + a * l2[k], b2 + b * l2[k]
        a3, b3 = a3 + a * l3[k], b3 + b * l3[k]
        a4, b4 = a4 + a * l4[k], b4 + b * l4[k]
        a5, b5 = a5 + a * l5[k], b5 + b * l5[k]
        a6, b6 = a6 + a * l6[k], b6 + b * l6[k]
        a7, b7 = a7 + a * l7[k], b7 + b * l7[k]
    store(out[0], at, a0)
    store(out[0], beyond, b0)
    store(out[1], at, a1)
    store(out[1], beyond, b1)
    store(out[2], at, a2)
    store(out[2], beyond, b2)
    store(out[3], at, a3)
    store(out[3], beyond, b3)
    store(out[4], at, a4)
    store(out[4], beyond, b4)
    store(out[5], at, a5)
    store(out[5], beyond, b5)
    store(out[6], at, a6)
    store(out[6], beyond, b6)
    store(out[7], at, a7)
    store(out[7], beyond, b7)
