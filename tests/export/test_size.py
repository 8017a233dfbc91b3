from __future__ import annotations

import json
import subprocess

import pytest
from exported_bundles import SPECS, spec_of

from tinytimbre.errors import TinyTimbreError
from tinytimbre.export.node import node_executable
from tinytimbre.export.size import measure_bundle
from tinytimbre.sweep.plan import estimated_bytes

# Node's own brotli at its highest quality (its default): an independent build of the encoder.
COMPRESSED_SIZES = """
const { readFileSync } = require('fs');
const { brotliCompressSync } = require('zlib');
console.log(JSON.stringify(process.argv.slice(1).map((file) => brotliCompressSync(readFileSync(file)).length)));
"""


def test_bytes_are_those_of_the_files_and_of_another_compressor(bundles):
    folder = bundles("gru8")[1] / "uint8"
    files = [folder / name for name in ("model.json", "weights.bin", "settings.json")]
    size = measure_bundle(folder)
    assert [size.graph_bytes, size.weights_bytes, size.settings_bytes] == [f.stat().st_size for f in files]
    assert size.total_bytes == sum(f.stat().st_size for f in files)

    command = [node_executable(), "-e", COMPRESSED_SIZES, *files]
    theirs = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    ours = [size.graph_brotli, size.weights_brotli, size.settings_brotli]
    # Versions of the encoder may differ by a few bytes.
    assert ours == pytest.approx(theirs, rel=0.01, abs=4)
    assert size.total_brotli == sum(ours)


@pytest.mark.parametrize("name", SPECS)
def test_the_plan_knows_the_size_within_a_tenth(bundles, name):
    assert estimated_bytes(spec_of(name)) == pytest.approx(
        measure_bundle(bundles(name)[1] / "float16").total_bytes, rel=0.1
    )


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(TinyTimbreError, match=r"model\.json"):
        measure_bundle(tmp_path)
