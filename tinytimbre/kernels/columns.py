"""How the signals of several models lie side by side, [rows, columns], for kernels that take sixteen at a time.

Each model has a column per clip, padded so that a vector of sixteen columns always meets the clips in the same order:
what the models share (targets, noise) is kept once for one model, or as often as fills a vector.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numba import njit

from tinytimbre.kernels.lanes import LANES


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
        columns = np.zeros((rows, self.count), np.float32)
        flat = np.ascontiguousarray(signals).reshape(self.models * self.clips, -1)
        _interleave(flat, self._places(self.models), columns[first_row:])
        return columns

    def interleave_shared(self, signals: np.ndarray, *, rows: int, first_row: int = 0) -> np.ndarray:
        """Lays float32 signals [clips, n] into columns of zeros [rows, shared], repeated where they don't fill it."""
        columns = np.zeros((rows, self.shared), np.float32)
        copies = self.shared // self._stride
        _interleave(np.tile(signals, (copies, 1)), self._places(copies), columns[first_row:])
        return columns

    def separate(self, columns: np.ndarray, *, length: int, first_row: int = 0) -> np.ndarray:
        """Signals [models, clips, length] from columns; the inverse of `interleave`."""
        signals = np.empty((self.models * self.clips, length), np.float32)
        _separate(columns[first_row:], self._places(self.models), signals)
        return signals.reshape(self.models, self.clips, length)

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Per model the sum over its columns of values [count]."""
        return values[self._places(self.models)].reshape(self.models, self.clips).sum(axis=1)

    def _places(self, models: int) -> np.ndarray:
        return (np.arange(models)[:, None] * self._stride + np.arange(self.clips)).ravel()


@njit(cache=True)
def _interleave(signals: np.ndarray, places: np.ndarray, columns: np.ndarray) -> None:
    """In blocks of rows that stay in the cache."""
    count, length = signals.shape
    for start in range(0, length, LANES):
        for i in range(count):
            for row in range(start, min(start + LANES, length)):
                columns[row, places[i]] = signals[i, row]


@njit(cache=True)
def _separate(columns: np.ndarray, places: np.ndarray, signals: np.ndarray) -> None:
    count, length = signals.shape
    for start in range(0, length, LANES):
        for i in range(count):
            for row in range(start, min(start + LANES, length)):
                signals[i, row] = columns[row, places[i]]
