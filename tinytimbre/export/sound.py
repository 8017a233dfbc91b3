"""What Python's synthesiser makes of a bundle's controls."""

from __future__ import annotations

import numpy as np

from tinytimbre.export.settings import BundleSettings
from tinytimbre.synthesis import synthesise


def bundle_sound(controls: np.ndarray, f0_hz: np.ndarray, *, settings: BundleSettings) -> np.ndarray:
    """Float32 [frames * hop], in the bundle's room where it has one.

    Args:
        controls: float32 [frames, controls], of the bundle's decoder.
        f0_hz: float32 [frames].
        settings: of the bundle.
    """
    return synthesise(
        controls,
        f0_hz,
        harmonics=settings.harmonics,
        noise_bands=settings.noise_bands,
        hop=settings.hop,
        sample_rate_hz=settings.sample_rate_hz,
        noise_seed=settings.noise_seed,
        reverb=settings.reverb,
    )
