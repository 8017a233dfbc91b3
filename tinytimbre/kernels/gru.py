"""All steps of a GRU and of its backward pass, without a framework between the steps.

A step is one product with the state, four rows by thirty-two columns at a time in registers, and the gates. Units come
in multiples of 32 (`UNITS`); units that are only filling have zero weights and stay zero.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from tinytimbre.kernels.lanes import LANES, exp, load, splat, store

UNITS = 2 * LANES
ROWS = 4


def forward_scan(steps: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All hidden states of a GRU that starts from zero; see `tinytimbre.decoders.gru` for the cell.

    Args:
        steps: float32 [frames, batch, 3 * units], the projected inputs, gates in the order z, r, n.
        kernel: float32 [units, 3 * units].
        bias: float32 [3 * units].

    Returns:
        float32 [frames, batch, units], and for `backward_scan` [frames, batch, 4 * units]: z, r, n, h R_n + c_n.
    """
    frames, batch, width = steps.shape
    rows = -(-batch // ROWS) * ROWS
    hidden, gates = (
        np.empty((frames, batch, width // 3), np.float32),
        np.empty((frames, batch, 4 * width // 3), np.float32),
    )
    _forward_scan(steps, _panels(kernel), bias, np.zeros((rows, width // 3), np.float32),
                  np.zeros((rows, width), np.float32), hidden, gates)  # fmt: skip
    return hidden, gates


def backward_scan(
    upstream: np.ndarray, hidden: np.ndarray, gates: np.ndarray, kernel: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Gradients of the projected inputs and of ``h R + c``, both float32 [frames, batch, 3 * units].

    Args:
        upstream: float32 [frames, batch, units], of the hidden states.
        hidden: from `forward_scan`.
        gates: from `forward_scan`.
        kernel: float32 [units, 3 * units].
    """
    frames, batch, units = upstream.shape
    rows = -(-batch // ROWS) * ROWS
    projected, recurrent = (np.empty((frames, batch, 3 * units), np.float32) for _ in range(2))
    _backward_scan(upstream, hidden, gates, _panels(np.ascontiguousarray(kernel.T)),
                   np.zeros((rows, units), np.float32), np.zeros((rows, 3 * units), np.float32),
                   projected, recurrent)  # fmt: skip
    return projected, recurrent


def _panels(matrix: np.ndarray) -> np.ndarray:
    """A matrix [n, m] as m / 32 contiguous panels [n, 32], so that a product reads it in order."""
    return np.ascontiguousarray(matrix.reshape(len(matrix), -1, UNITS).transpose(1, 0, 2))


@njit(cache=True, fastmath={"contract"}, error_model="numpy")
def _forward_scan(
    steps: np.ndarray, panels: np.ndarray, bias: np.ndarray, state: np.ndarray, product: np.ndarray,
    hidden: np.ndarray, gates: np.ndarray,
) -> None:  # fmt: skip
    frames, batch, width = steps.shape
    units = width // 3
    one = splat(np.float32(1.0))
    for frame in range(frames):
        for row in range(len(product)):
            product[row] = bias
        _add_product(product, state, panels)
        for b in range(batch):
            x, h = steps[frame, b], product[b]
            for u in range(0, units, LANES):
                z = one / (one + exp(splat(np.float32(0.0)) - (load(x, u) + load(h, u))))
                r = one / (one + exp(splat(np.float32(0.0)) - (load(x, u + units) + load(h, u + units))))
                hn = load(h, u + 2 * units)
                # tanh(a) = 1 - 2 / (exp(2 a) + 1)
                n = one - (one + one) / (exp((load(x, u + 2 * units) + r * hn) * 2.0) + one)
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
    upstream: np.ndarray, hidden: np.ndarray, gates: np.ndarray, panels: np.ndarray, carried: np.ndarray,
    recurrent: np.ndarray, d_projected: np.ndarray, d_recurrent: np.ndarray,
) -> None:  # fmt: skip
    frames, batch, units = upstream.shape
    one, nothing = splat(np.float32(1.0)), np.zeros(units, np.float32)
    for frame in range(frames - 1, -1, -1):
        for b in range(batch):
            saved, local, total = gates[frame, b], d_projected[frame, b], carried[b]
            previous = hidden[frame - 1, b] if frame > 0 else nothing
            for u in range(0, units, LANES):
                z, r = load(saved, u), load(saved, u + units)
                n, hn = load(saved, u + 2 * units), load(saved, u + 3 * units)
                whole = load(total, u) + load(upstream[frame, b], u)
                dn = whole * (one - z) * (one - n * n)
                dz = whole * (load(previous, u) - n) * z * (one - z)
                dr = dn * hn * r * (one - r)
                store(local, u, dz)
                store(local, u + units, dr)
                store(local, u + 2 * units, dn)
                store(recurrent[b], u, dz)
                store(recurrent[b], u + units, dr)
                store(recurrent[b], u + 2 * units, dn * r)
                store(total, u, whole * z)
            d_recurrent[frame, b] = recurrent[b]
        _add_product(carried, recurrent, panels)


@njit(cache=True, fastmath={"contract"}, error_model="numpy")
def _add_product(out: np.ndarray, left: np.ndarray, panels: np.ndarray) -> None:
    """Adds ``left @ matrix`` to `out`: [rows, m] += [rows, n] [n, m], rows in fours, the matrix in panels."""
    for panel in range(len(panels)):
        for row in range(0, len(out), ROWS):
            _add_tile(
                out[row], out[row + 1], out[row + 2], out[row + 3], panel * UNITS,
                left[row], left[row + 1], left[row + 2], left[row + 3], panels[panel].reshape(-1),
            )  # fmt: skip


@njit(cache=True, fastmath={"contract"}, error_model="numpy")
def _add_tile(
    out0: np.ndarray, out1: np.ndarray, out2: np.ndarray, out3: np.ndarray, at: int,
    left0: np.ndarray, left1: np.ndarray, left2: np.ndarray, left3: np.ndarray, panel: np.ndarray,
) -> None:  # fmt: skip
    a0, a1, a2, a3 = load(out0, at), load(out1, at), load(out2, at), load(out3, at)
    beyond = at + LANES
    b0, b1, b2, b3 = load(out0, beyond), load(out1, beyond), load(out2, beyond), load(out3, beyond)
    for k in range(len(left0)):
        a, b = load(panel, k * UNITS), load(panel, k * UNITS + LANES)
        a0, a1, a2, a3 = a0 + a * left0[k], a1 + a * left1[k], a2 + a * left2[k], a3 + a * left3[k]
        b0, b1, b2, b3 = b0 + b * left0[k], b1 + b * left1[k], b2 + b * left2[k], b3 + b * left3[k]
    store(out0, at, a0)
    store(out1, at, a1)
    store(out2, at, a2)
    store(out3, at, a3)
    store(out0, beyond, b0)
    store(out1, beyond, b1)
    store(out2, beyond, b2)
    store(out3, beyond, b3)
