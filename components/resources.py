"""How many processes an executor may use, and which engine those on Beam.

Not component parameters: they change the work, not the result, and must not be part of the cache key.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence

JOBS_VARIABLE = "TINYTIMBRE_JOBS"
BEAM_VARIABLE = "TINYTIMBRE_BEAM"


def jobs() -> int:
    """``TINYTIMBRE_JOBS`` where it is set (``--jobs`` sets it), else the processors this process may use."""
    return int(os.environ.get(JOBS_VARIABLE, 0)) or len(os.sched_getaffinity(0))


def beam_flags() -> list[str]:
    """Those of the configuration, which ``TINYTIMBRE_BEAM`` holds as a JSON list."""
    return list(json.loads(os.environ.get(BEAM_VARIABLE, "[]")))


def surroundings(*, jobs: int, beam: Sequence[str]) -> dict[str, str]:
    """The environment variables that say so."""
    return {JOBS_VARIABLE: str(jobs), BEAM_VARIABLE: json.dumps(list(beam))}
