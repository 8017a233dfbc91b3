"""Features of the tiny instrument, shared by the tests of this folder."""

from __future__ import annotations

import pathlib

import pytest

from tests.sweep.tiny_sweep import take
from tinytimbre.features.examples import write_split


@pytest.fixture(scope="session")
def features_dir(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("features")
    write_split([take("a", f0_hz=220), take("b", f0_hz=330)], features_dir=folder, split="train")
    write_split([take("c", f0_hz=262)], features_dir=folder, split="validation")
    return folder
