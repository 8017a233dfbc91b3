"""The JavaScript reader (web/src/bundle.js) against the Python one, in Node."""

from __future__ import annotations

import json
import shutil
import subprocess

import numpy as np
import pytest
from exported_bundles import QUANTISATIONS, SPECS, resealed

from tinytimbre.export.bundle import read_tensors
from tinytimbre.export.node import WEB_DIR, node_executable

# For each folder: its tensors' names, shapes, types, and bits one after the other; or the error that it gives.
SCRIPT = f"""
import {{ readFileSync, writeFileSync }} from 'node:fs';
import {{ loadBundle }} from {json.dumps((WEB_DIR / "src" / "bundle.js").as_uri())};
const fetch = async (file) => new Response(readFileSync(file));
for (const folder of process.argv.slice(2)) {{
  try {{
    const {{ settings, graph, weights }} = await loadBundle(folder, {{ fetch }});
    const bits = [...weights.values()].map(({{ data }}) => Buffer.from(data.buffer, data.byteOffset, data.byteLength));
    writeFileSync(folder + '/decoded', Buffer.concat(bits));
    const listed = [...weights].map(([name, {{ shape, dtype }}]) => [name, shape, dtype]);
    console.log(JSON.stringify({{ instrument: settings.instrument, nodes: graph.node.length, listed }}));
  }} catch (error) {{
    console.log(JSON.stringify({{ error: error.message, name: error.name, rule: error.rule }}));
  }}
}}
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    path = tmp_path_factory.mktemp("loader") / "load.mjs"
    path.write_text(SCRIPT)
    return path


def loaded(script, *folders):
    done = subprocess.run([node_executable(), script, *folders], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def copy(bundles, tmp_path):
    """A bundle to damage."""
    return shutil.copytree(bundles("gru8")[1] / "int6", tmp_path / "model")


def test_every_quantisation_decodes_to_the_same_bits(bundles, script, tmp_path):
    folders = [
        shutil.copytree(bundles(name)[1] / quantisation, tmp_path / f"{name}-{quantisation}")
        for name in SPECS
        for quantisation in QUANTISATIONS
    ]
    for folder, found in zip(folders, loaded(script, *folders), strict=True):
        ours = read_tensors(folder)
        assert [[name, list(value.shape), value.dtype.name] for name, value in ours.items()] == found["listed"]
        bits = np.concatenate([value.astype("<f4").ravel() for value in ours.values()]).view(np.uint32)
        np.testing.assert_array_equal(np.fromfile(folder / "decoded", "<u4"), bits, err_msg=folder.name)
        assert found["instrument"] == "violin"


@pytest.mark.parametrize("name", ["model.json", "weights.bin", "settings.json"])
def test_a_missing_file_is_named(copy, script, name):
    (copy / name).unlink()
    [found] = loaded(script, copy)
    assert found["name"] == "TinyTimbreError"
    assert name in found["error"].split("Got: ")[1]


@pytest.mark.parametrize("name", ["model.json", "weights.bin", "settings.json"])
@pytest.mark.parametrize("kept", [0, 0.6])
def test_a_truncated_file_is_named(copy, script, name, kept):
    data = (copy / name).read_bytes()
    (copy / name).write_bytes(data[: int(len(data) * kept)])
    [found] = loaded(script, copy)
    assert found["name"] == "TinyTimbreError"
    assert name in found["error"]


def test_a_changed_file_is_noticed(copy, script):
    data = bytearray((copy / "weights.bin").read_bytes())
    data[40] ^= 4
    (copy / "weights.bin").write_bytes(data)
    [found] = loaded(script, copy)
    assert "checksum" in found["error"]
    resealed(copy)
    assert "error" not in loaded(script, copy)[0]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"format_version": 3}, "format_version 3"),
        ({"format_version": None}, "format_version null"),
        ({"hop": None}, "hop"),
        ({"checksum": ""}, "checksum"),
        ({"decoder": {"harmonics": 9, "noise_bands": 3}}, "controls"),
    ],
)
def test_settings_that_do_not_fit_are_refused(copy, script, change, told):
    values = json.loads((copy / "settings.json").read_text())
    (copy / "settings.json").write_text(json.dumps({**values, **change}))
    [found] = loaded(script, copy)
    assert told in found["error"]


@pytest.mark.parametrize("dtype", ["int17", "float8"])
def test_an_unknown_quantisation_is_refused(copy, script, dtype):
    (copy / "model.json").write_text((copy / "model.json").read_text().replace('"int6"', f'"{dtype}"'))
    [found] = loaded(script, copy)
    assert dtype in found["error"]


def test_a_graph_without_its_weights_is_refused(copy, script):
    model = json.loads((copy / "model.json").read_text())
    model["modelTopology"]["node"].append({"name": "lost", "op": "Const"})
    (copy / "model.json").write_text(json.dumps(model))
    resealed(copy)
    assert "lost" in loaded(script, copy)[0]["error"]
    (copy / "model.json").write_text("{}")
    assert "graph model" in loaded(script, copy)[0]["error"]
