"""How the signals of several models lie side by side, [rows, columns], for kernels that take sixteen at a time.

Each model has a column per clip, padded so that a vector of sixteen columns always meets the clips in the same order:
what the models share (targets, noise) is kept once for one model, or as often as fills a vector.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numba import njit

from tinytimbre.kernels import memory
from tinytimbre.kernels.lanes import LANES, transpose_block


@dataclasses.dataclass(frozen=True)
class Columns:
    """Columns of ``models`` models with ``clips`` clips each."""

    models: int
    clips: int

    @property
    def count(self) -> int:
        """Of all models, a multiple of the vector."""
        return -(-self.models * self._stride // LANES) * LANES

    @property
    def shared(self) -> int:
        """Columns of what all models share; column c of a model meets column c modulo this."""
        return max(LANES, self._stride)

    @property
    def _stride(self) -> int:
        """From one model to the next: a divisor or a multiple of the vector."""
        if self.clips < LANES:
            return 1 << (self.clips - 1).bit_length()
        return -(-self.clips // LANES) * LANES

    def interleave(self, signals: np.ndarray, *, rows: int, first_row: int = 0) -> np.ndarray:
        """Lays float32 signals [models, clips, n] into columns of zeros [rows, count] from `first_row` on."""
        columns = memory.zeros(rows, self.count)
        flat = signals.reshape(self.models * self.clips, -1)
        _interleave(flat, self._places(self.models), columns[first_row:])
        return columns

    def interleave_shared(self, signals: np.ndarray, *, rows: int, first_row: int = 0) -> np.ndarray:
        """Lays float32 signals [clips, n] into columns of zeros [rows, shared], repeated where they don't fill it."""
        columns = memory.zeros(rows, self.shared)
        copies = self.shared // self._stride
        _interleave(np.tile(signals, (copies, 1)), self._places(copies), columns[first_row:])
        return columns

    def separate(self, columns: np.ndarray, *, length: int, first_row: int = 0) -> np.ndarray:
        """Signals [models, clips, length] from columns; the inverse of `interleave`."""
        signals = memory.empty(self.count, length)
        transpose(columns[first_row : first_row + length], signals)
        places = self._places(self.models)
        if len(places) < self.count:
            signals = np.take(signals, places, axis=0, out=memory.empty(len(places), length))
        return signals.reshape(self.models, self.clips, length)

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Per model the sum over its columns of values [count]."""
        return values[self._places(self.models)].reshape(self.models, self.clips).sum(axis=1)

    def _places(self, models: int) -> np.ndarray:
        return (np.arange(models)[:, None] * self._stride + np.arange(self.clips)).ravel()


def _interleave(signals: np.ndarray, places: np.ndarray, columns: np.ndarray) -> None:
    """Lays signals [n, length] into the columns named by `places`, from the first row on."""
    if len(places) < columns.shape[1]:
        filled = memory.zeros(columns.shape[1], signals.shape[1])
        filled[places] = signals
        signals = filled
    transpose(np.ascontiguousarray(signals), columns[: signals.shape[1]])


def transpose(source: np.ndarray, target: np.ndarray) -> None:
    """Writes contiguous float32 [m, n] as [n, m], by blocks of sixteen by sixteen that are turned in registers."""
    if min(source.shape) < LANES:
        target[...] = source.T
    else:
        _transpose_blocks(source.reshape(-1), target.reshape(-1), *source.shape)


@njit(cache=True)
def _transpose_blocks(source: np.ndarray, target: np.ndarray, rows: int, columns: int) -> None:
    """Where the blocks do not fit, the last overlaps the one before."""
    for block_row in range(0, rows, LANES):
        row = min(block_row, rows - LANES)
        for block_column in range(0, columns, LANES):
            column = min(block_column, columns - LANES)
            transpose_block(source, row * columns + column, columns, target, column * rows + row, rows)
