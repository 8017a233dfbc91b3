"""One whole sweep for all tests of whole runs."""

from __future__ import annotations

import pytest
from local_sweep import Sweep, run_sweep


@pytest.fixture(scope="session")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    return run_sweep(tmp_path_factory.mktemp("sweep"))
