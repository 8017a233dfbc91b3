"""Where a quality-versus-size front bends: beyond it, bytes buy little."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

MIN_POINTS = 3


def knee(sizes: Sequence[float], losses: Sequence[float]) -> int | None:
    """Index of the knee of a front, None where it has none.

    Kneedle (Satopää et al., *Finding a "Kneedle" in a Haystack*, ICDCSW 2011, section III, offline, without
    smoothing) on the logarithm of the size: both axes are scaled to 0..1 between the ends of the front, and the knee is
    the point furthest below the straight line from end to end. Doubling a model counts the same wherever it starts.

    Args:
        sizes: bytes, growing, > 0.
        losses: of the same length, lower is better.
    """
    x, y = np.log(np.asarray(sizes, float)), np.asarray(losses, float)
    if len(x) < MIN_POINTS or x[-1] <= x[0] or y[0] <= y[-1]:
        return None
    below = 1 - (x - x[0]) / (x[-1] - x[0]) - (y - y[-1]) / (y[0] - y[-1])
    furthest = int(np.argmax(below))
    # A straight front has rounding errors, but no knee.
    return furthest if below[furthest] > 1e-9 else None
