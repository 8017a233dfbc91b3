"""Profile ``block``: a published model with a second graph for whole blocks of frames, over the same weights.

    export_block("published/violin/0001-…", output="violin-offline", frames=50)

The step graph is made for live playing; offline, most of its time goes into starting operations. ``block.json``
computes many frames at once, without a loop, and carries the state on. Its weights are those of ``weights.bin``;
what it needs besides, sizes and axes, is in ``block.bin``. The three files of the model stay as they are.
"""

from __future__ import annotations

import json
import pathlib
import shutil

from tinytimbre.export.bundle import BUNDLE_FILES, MODEL_FILE, load_bundle

BLOCK_FILE, CONSTANTS_FILE = "block.json", "block.bin"
FRAMES = 50


def export_block(bundle_dir: str | pathlib.Path, *, output: str | pathlib.Path, frames: int = FRAMES) -> pathlib.Path:
    """Copies a bundle and puts the graph of a block beside it.

    Args:
        bundle_dir: a whole bundle.
        output: folder, made where it does not exist.
        frames: of a block; the graph of a GRU grows with them.

    Raises:
        TinyTimbreError: the bundle is not whole.
    """
    from tinytimbre.export.compaction import to_json
    from tinytimbre.export.graphs import convert_block

    bundle, source, output = load_bundle(bundle_dir), pathlib.Path(bundle_dir), pathlib.Path(output)
    [shared] = json.loads((source / MODEL_FILE).read_text())["weightsManifest"]
    stored = {entry["name"]: tuple(entry["shape"]) for entry in shared["weights"]}
    graph = convert_block(bundle.decoder, frames=frames, reserved=stored)
    other = [name for name, value in graph.weights.items() if stored[name] != value.shape]
    if other:
        raise RuntimeError(f"the converter stores {other} in another shape in a block than in a step")
    output.mkdir(parents=True, exist_ok=True)
    for name in BUNDLE_FILES:
        shutil.copyfile(source / name, output / name)
    own = [{"name": n, "shape": list(v.shape), "dtype": v.dtype.name} for n, v in graph.constants.items()]
    data = b"".join(v.astype(v.dtype.newbyteorder("<")).tobytes() for v in graph.constants.values())
    (output / CONSTANTS_FILE).write_bytes(data)
    manifest = [shared, {"paths": [CONSTANTS_FILE], "weights": own}]
    (output / BLOCK_FILE).write_text(to_json({**graph.model, "weightsManifest": manifest}), encoding="utf-8")
    return output
