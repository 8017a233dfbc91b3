"""What a client downloads: bytes of a bundle on disk and compressed.

    measure_bundle(folder).total_brotli

The sum of the compressed files is the size that models are compared by.
"""

from __future__ import annotations

import pathlib

import brotli
import pydantic

from tinytimbre.errors import TinyTimbreError
from tinytimbre.export.bundle import BUNDLE_FILES, MODEL_FILE, WEIGHTS_FILE
from tinytimbre.export.settings import SETTINGS_FILE

# What static hosts use for files compressed once; brotli's highest.
BROTLI_QUALITY = 11


class BundleSize(pydantic.BaseModel):
    """Bytes of ``model.json`` (graph), ``weights.bin``, ``settings.json`` and of all three.

    ``*_bytes`` on disk; ``*_brotli`` each file compressed by itself, as a web server sends them.
    """

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    graph_bytes: int
    weights_bytes: int
    settings_bytes: int
    total_bytes: int
    graph_brotli: int
    weights_brotli: int
    settings_brotli: int
    total_brotli: int


def measure_bundle(bundle_dir: str | pathlib.Path) -> BundleSize:
    """Measures a bundle; brotli at its highest takes about 2.5 s per MB of float32 weights.

    Raises:
        TinyTimbreError: a file is missing.
    """
    contents = {name: _read(pathlib.Path(bundle_dir) / name) for name in BUNDLE_FILES}
    plain = {name: len(data) for name, data in contents.items()}
    packed = {name: len(brotli.compress(data, quality=BROTLI_QUALITY)) for name, data in contents.items()}
    return BundleSize(
        graph_bytes=plain[MODEL_FILE],
        weights_bytes=plain[WEIGHTS_FILE],
        settings_bytes=plain[SETTINGS_FILE],
        total_bytes=sum(plain.values()),
        graph_brotli=packed[MODEL_FILE],
        weights_brotli=packed[WEIGHTS_FILE],
        settings_brotli=packed[SETTINGS_FILE],
        total_brotli=sum(packed.values()),
    )


def _read(path: pathlib.Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise TinyTimbreError(
            f"a model is a folder with {', '.join(BUNDLE_FILES)}", got=f"{path}: {error.strerror}"
        ) from error
