"""TFX components of TinyTimbre, a folder each: ``component.py`` is the contract, ``executor.py`` calls the library.

The artifact types are importable from here (``components.Recordings``), as TFX looks them up at run time. They
are loaded on first use: Beam workers import this package and need none of TFX.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from components.artifacts import Features, Recordings, Selection, SweepPlan, SweepReport, Trials, WebModels

__all__ = ["Features", "Recordings", "Selection", "SweepPlan", "SweepReport", "Trials", "WebModels"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(importlib.import_module("components.artifacts"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
