"""The decoder of a published model in Chromium beside TensorFlow.js in Node."""

from __future__ import annotations

import pathlib

import numpy as np
import pytest

from tinytimbre.errors import TinyTimbreError
from tinytimbre.export import browser
from tinytimbre.export.browser import run_in_browser
from tinytimbre.export.node import BundleRun, run_bundles
from tinytimbre.export.publish import publish_bundle

CHIRP = np.stack([np.linspace(0.4, 0.7, 50), np.linspace(0.7, 0.3, 50)], axis=1).astype(np.float32)


@pytest.fixture
def model(bundles, tmp_path: pathlib.Path) -> pathlib.Path:
    return publish_bundle(bundles("gru8")[1] / "uint8", card="card", to=tmp_path / "models", instrument="violin")


def test_the_browser_gives_the_controls_of_tensorflowjs(model: pathlib.Path) -> None:
    [expected] = run_bundles([BundleRun(model, CHIRP)])
    # As in tests/web: float32 numbers of the order of 1, summed in another order.
    np.testing.assert_allclose(run_in_browser(model, inputs=CHIRP), expected, atol=1e-5)


def test_a_broken_model_is_told(model: pathlib.Path) -> None:
    (model / "weights.bin").write_bytes(b"cut short")
    with pytest.raises(TinyTimbreError, match="must play in a browser"):
        run_in_browser(model, inputs=CHIRP)


def test_without_a_browser_the_way_out_is_said(model: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(browser.VARIABLE, raising=False)
    monkeypatch.setenv("PATH", str(model))
    with pytest.raises(TinyTimbreError, match="needs Chromium"):
        run_in_browser(model, inputs=CHIRP)
