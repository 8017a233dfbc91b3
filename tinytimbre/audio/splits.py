"""Who trains, who validates, who tests: by take, in an order that depends on nothing but the takes."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable

from tinytimbre.audio.recording import Split
from tinytimbre.config import SplitConfig
from tinytimbre.errors import TinyTimbreError

MIN_TAKES = 3


def assign_splits(take_ids: Iterable[str], *, instrument: str, config: SplitConfig) -> dict[str, Split]:
    """Split of each take.

    Takes are ordered by the sha256 of their id; the first ``ceil(test share * n)`` test, the next
    ``ceil(validation share * n)`` validate, the rest trains; at least one take each.

    Raises:
        TinyTimbreError: fewer than three takes.
    """
    takes = sorted(set(take_ids), key=lambda take_id: hashlib.sha256(take_id.encode()).hexdigest())
    if len(takes) < MIN_TAKES:
        raise TinyTimbreError(
            f"an instrument needs at least {MIN_TAKES} different takes: one each to train, validate and test",
            got=f"{instrument} has {len(takes)}",
            cause="too few recordings, or several that are copies of one take",
            remedy="add recordings, or cut a long one into separate phrases, one file each",
        )
    n_test = min(_share(config.test, len(takes)), len(takes) - 2)
    n_validation = min(_share(config.validation, len(takes)), len(takes) - n_test - 1)
    counts: dict[Split, int] = {"test": n_test, "validation": n_validation, "train": len(takes)}
    names = (name for name, count in counts.items() for _ in range(count))
    return dict(zip(takes, names, strict=False))


def _share(share: float, count: int) -> int:
    """``ceil(share * count)``, not fooled by 0.1 * 30 = 3.0000000000000004."""
    return math.ceil(share * count - 1e-9)
