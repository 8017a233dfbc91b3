"""A published model's decoder in a real browser, in the WebAssembly that pages use.

    controls = run_in_browser(published / "violin" / "0001-3f9c0a21b4", inputs=scale_inputs(f0_hz, loudness_db))

Chromium opens ``web/tools/controls.html`` and prints the page it has become.
"""

from __future__ import annotations

import contextlib
import html
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.parse
from collections.abc import Iterator

import numpy as np

from tinytimbre.errors import TinyTimbreError
from tinytimbre.export.node import WEB_DIR

NAMES = ("chromium", "chromium-browser", "google-chrome")
VARIABLE = "CHROMIUM"
PATIENCE_SECS = 120
# In containers Chromium's own sandbox cannot start; the page is ours. Time stands still until everything is loaded.
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
         "--disable-background-networking", "--virtual-time-budget=60000", "--dump-dom")  # fmt: skip


def run_in_browser(model: pathlib.Path, *, inputs: np.ndarray) -> np.ndarray:
    """Controls, float32 [T, C], from a zero state.

    Args:
        model: directory of a published model.
        inputs: float32 [T, 2], see `tinytimbre.features.scaling.scale_inputs`; a second or so, they travel in a URL.

    Raises:
        TinyTimbreError: no browser, one that does not start, or what the page says about the model.
    """
    place = model.resolve()
    with _served(place.parents[1]) as address, tempfile.TemporaryDirectory(prefix="tinytimbre-chromium-") as profile:
        given = {"model": f"/models/{place.parent.name}/{place.name}/", "inputs": json.dumps(inputs.tolist())}
        url = f"{address}tools/controls.html?{urllib.parse.urlencode(given)}"
        command = [chromium(), *FLAGS, f"--user-data-dir={profile}", url]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECS)
        except subprocess.TimeoutExpired as error:
            raise _broken(f"nothing within {PATIENCE_SECS} s") from error
    body = re.search(r"<body>(.*?)</body>", done.stdout, flags=re.DOTALL)
    said = html.unescape(body[1]).strip() if body else done.stderr[-500:]
    if not said.startswith("[["):
        raise _broken(said or "an empty page")
    return np.asarray(json.loads(said), np.float32)


def chromium() -> str:
    """Path of the browser.

    Raises:
        TinyTimbreError: there is none.
    """
    found = os.environ.get(VARIABLE) or next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        raise TinyTimbreError(
            "playing a model in a browser needs Chromium",
            got="none",
            remedy=f"apt-get install chromium, or {VARIABLE}=/path/to/it",
        )
    return found


@contextlib.contextmanager
def _served(models: pathlib.Path) -> Iterator[str]:
    """The address at which the page and the models are."""
    command = [sys.executable, str(WEB_DIR / "tools" / "serve.py"), "--models", str(models), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as server:
        assert server.stdout is not None
        said = server.stdout.readline().strip()
        try:
            if not said.startswith("http"):
                raise _broken(said)
            yield said
        finally:
            server.terminate()


def _broken(got: str) -> TinyTimbreError:
    return TinyTimbreError("a published model must play in a browser", got=got, remedy="see web/README.md")
