"""Layout of signals side by side."""

from __future__ import annotations

import numpy as np
import pytest

from tinytimbre.kernels.columns import Columns
from tinytimbre.kernels.lanes import LANES


@pytest.mark.parametrize(("models", "clips"), [(1, 1), (1, 8), (3, 8), (8, 8), (2, 5), (1, 16), (3, 17), (2, 40)])
def test_every_column_meets_its_own_clip(models: int, clips: int) -> None:
    columns = Columns(models, clips)
    signals = np.arange(models * clips * 21, dtype=np.float32).reshape(models, clips, 21)
    shared = 1 + np.arange(clips, dtype=np.float32)[:, None] * np.ones(21, np.float32)
    rows = columns.interleave(signals, rows=30, first_row=4)
    targets = columns.interleave_shared(shared, rows=30)
    assert rows.shape[1] % LANES == 0
    np.testing.assert_array_equal(columns.separate(rows, length=21, first_row=4), signals)
    assert not rows[:4].any()
    assert not rows[25:].any()
    for model in range(models):
        for clip in range(clips):
            column = int(np.flatnonzero(rows[5] == signals[model, clip, 1])[0])
            assert targets[0, column % columns.shared] == 1 + clip


def test_sums_go_to_their_models() -> None:
    columns = Columns(3, 5)
    signals = np.broadcast_to(np.arange(3, dtype=np.float32)[:, None, None], (3, 5, 1))
    values = columns.interleave(signals, rows=1)[0].astype(np.float64)
    np.testing.assert_array_equal(columns.sums(values), [0.0, 5.0, 10.0])
