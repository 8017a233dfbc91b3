"""How many processes an executor may use.

Not a component parameter: it changes the work, not the result, and must not be part of the cache key.
"""

from __future__ import annotations

import os

JOBS_VARIABLE = "TINYTIMBRE_JOBS"


def jobs() -> int:
    """``TINYTIMBRE_JOBS`` where it is set (``--jobs`` sets it), else the processors this process may use."""
    return int(os.environ.get(JOBS_VARIABLE, 0)) or len(os.sched_getaffinity(0))
