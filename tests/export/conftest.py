"""Exported bundles shared by the tests of this folder; each is made once."""

from __future__ import annotations

import pathlib
from collections.abc import Callable

import numpy as np
import pytest
from exported_bundles import QUANTISATIONS, settings_of, spec_of, trained

from tinytimbre.decoders import Decoder
from tinytimbre.export.bundle import export_bundle

Bundles = Callable[[str], tuple[Decoder, pathlib.Path]]


@pytest.fixture(scope="session")
def played() -> np.ndarray:
    """Inputs [250, 2] like a played phrase: held notes with vibrato, a slide, swells, a rest."""
    t = np.arange(250) / 50
    midi = np.where(t < 2, 67, 62 + 5 * np.clip(t - 2, 0, 1)) + 0.3 * np.sin(2 * np.pi * 5.5 * t)
    level_db = -30 + 10 * np.sin(2 * np.pi * 0.7 * t) - 50 * ((t > 3.5) & (t < 4))
    return np.stack([midi / 127, np.clip(level_db, -80, 0) / 80 + 1], axis=-1).astype(np.float32)


@pytest.fixture(scope="session")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Bundles:
    """By name of `SPECS`: the trained decoder and the folder with its three bundles; do not write there."""
    made: dict[str, tuple[Decoder, pathlib.Path]] = {}

    def make(name: str) -> tuple[Decoder, pathlib.Path]:
        if name not in made:
            decoder, folder = trained(spec_of(name)), tmp_path_factory.mktemp(name)
            export_bundle(decoder, settings=settings_of(decoder.spec), quantisations=QUANTISATIONS, output=folder)
            made[name] = (decoder, folder)
        return made[name]

    return make
