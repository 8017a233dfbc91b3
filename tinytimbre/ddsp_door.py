"""The one door to Magenta's `ddsp`: it makes the 2023 release importable on today's TensorFlow.

    ddsp = import_ddsp()
    harmonic = ddsp.synths.Harmonic(n_samples=16_000)

Two things stand in the way. ddsp needs Keras 2, which TensorFlow offers only if ``TF_USE_LEGACY_KERAS=1`` is set
before it is imported; and it imports `crepe`, whose installer downloads weights while it builds. We never ask
ddsp for pitch, so an empty module under that name is enough.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import types
import warnings

from tinytimbre.errors import TinyTimbreError

LEGACY_KERAS = "TF_USE_LEGACY_KERAS"
# What ddsp imports and TinyTimbre neither installs nor calls.
STUBBED = ("crepe",)


def import_ddsp() -> types.ModuleType:
    """The module `ddsp`.

    Raises:
        TinyTimbreError: TensorFlow was imported without legacy Keras, or ddsp is not installed.
    """
    return _import("ddsp")


def import_ddsp_training() -> types.ModuleType:
    """The package `ddsp.training`: decoders, preprocessors, models. Slower than `import_ddsp`.

    Raises:
        TinyTimbreError: TensorFlow was imported without legacy Keras, or ddsp is not installed.
    """
    return _import("ddsp.training")


def use_legacy_keras() -> None:
    """Chooses Keras 2 for this process.

    Raises:
        TinyTimbreError: too late, TensorFlow already runs with Keras 3.
    """
    if os.environ.get(LEGACY_KERAS) in ("1", "true", "True"):
        return
    if "tensorflow" in sys.modules:
        raise TinyTimbreError(
            f"{LEGACY_KERAS}=1 must be set before TensorFlow is imported",
            got=f"{LEGACY_KERAS}={os.environ.get(LEGACY_KERAS, '')!r} in a process that has imported TensorFlow",
            cause="ddsp 3.7 needs Keras 2; TensorFlow takes Keras 3 unless told otherwise",
            remedy=f"set the environment variable {LEGACY_KERAS}=1, or call this before importing TensorFlow",
        )
    os.environ[LEGACY_KERAS] = "1"


def _import(name: str) -> types.ModuleType:
    use_legacy_keras()
    _stub_absent(STUBBED)
    try:
        with warnings.catch_warnings():
            # pkg_resources, distutils, old NumPy aliases: upstream's, and no news to whoever runs a sweep.
            warnings.simplefilter("ignore")
            return importlib.import_module(name)
    except ImportError as error:
        raise TinyTimbreError(
            f"{name} must be importable",
            got=f"{type(error).__name__}: {error}",
            cause="the environment differs from the committed lock",
            remedy="install it again from the lock (make install)",
        ) from error


def _stub_absent(names: tuple[str, ...]) -> None:
    """Puts an empty module in place of each one that is not installed."""
    for name in names:
        if name not in sys.modules and importlib.util.find_spec(name) is None:
            stub = types.ModuleType(name, "Stand-in: TinyTimbre does not use what lives here.")
            stub.__spec__ = importlib.util.spec_from_loader(name, loader=None)
            sys.modules[name] = stub
