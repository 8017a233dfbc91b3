"""Profile ``block``: the second graph gives what the step gives, in TensorFlow.js, from the same weights."""

from __future__ import annotations

import json
import subprocess

import numpy as np
import pytest

from tinytimbre.export.block import BLOCK_FILE, CONSTANTS_FILE, export_block
from tinytimbre.export.bundle import BUNDLE_FILES, load_bundle
from tinytimbre.export.node import WEB_DIR, node_executable

FRAMES = 25
# Plays blocks one after the other; argv: folder, file of inputs, file for the controls.
SCRIPT = f"""
import {{ readFileSync, writeFileSync }} from 'node:fs';
import {{ createRequire }} from 'node:module';
import {{ ioHandler, loadBlock, loadBundle }} from {json.dumps((WEB_DIR / "src" / "bundle.js").as_uri())};
const require = createRequire({json.dumps(str(WEB_DIR / "package.json"))});
const tf = require('@tensorflow/tfjs-core');
const {{ loadGraphModel }} = require('@tensorflow/tfjs-converter');
require('@tensorflow/tfjs-backend-cpu');
const [folder, inputs, output] = process.argv.slice(2);
const fetch = async (file) => new Response(readFileSync(file));
const bundle = await loadBundle(folder, {{ fetch }});
const model = await loadGraphModel(ioHandler(await loadBlock(folder, bundle, {{ fetch }})));
const values = new Float32Array(new Uint8Array(readFileSync(inputs)).buffer);
let state = tf.zeros([1, bundle.settings.graph.state_size]);
const parts = [];
for (let at = 0; at < values.length; at += {FRAMES} * 2) {{
  const x = tf.tensor2d(values.subarray(at, at + {FRAMES} * 2), [{FRAMES}, 2]);
  const [controls, next] = model.execute({{ inputs: x, state }}, ['controls', 'next_state']);
  parts.push(Buffer.from(controls.dataSync().buffer));
  state = next;
}}
writeFileSync(output, Buffer.concat(parts));
"""


@pytest.mark.parametrize(("name", "quantisation"), [("gru8", "int4"), ("cnn8", "uint8"), ("cnn4-stateless", "float32")])
def test_blocks_play_what_steps_play(bundles, played, name, quantisation, tmp_path):
    source = bundles(name)[1] / quantisation
    folder = export_block(source, output=tmp_path / "block", frames=FRAMES)
    for file in BUNDLE_FILES:
        assert (folder / file).read_bytes() == (source / file).read_bytes()
    assert (folder / CONSTANTS_FILE).stat().st_size < 500
    (tmp_path / "play.mjs").write_text(SCRIPT)
    (tmp_path / "inputs").write_bytes(played.astype("<f4").tobytes())
    command = [node_executable(), tmp_path / "play.mjs", folder, tmp_path / "inputs", tmp_path / "controls"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    controls = np.fromfile(tmp_path / "controls", "<f4").reshape(len(played), -1)
    expected = load_bundle(source).decoder(played[np.newaxis]).numpy()[0]
    # 250 frames of float32 in another order of summation; controls lie in (0, 2].
    np.testing.assert_allclose(controls, expected, rtol=0, atol=1e-5)


def test_a_block_has_no_loops_and_no_copies(bundles, tmp_path):
    folder = export_block(bundles("gru8")[1] / "uint8", output=tmp_path, frames=FRAMES)
    model = json.loads((folder / BLOCK_FILE).read_text())
    ops = {node["op"] for node in model["modelTopology"]["node"]}
    assert not {op for op in ops if "While" in op or op in ("Enter", "Exit", "Merge", "Switch", "NextIteration")}
    assert [group["paths"] for group in model["weightsManifest"]] == [["weights.bin"], ["block.bin"]]
    names = [entry["name"] for group in model["weightsManifest"] for entry in group["weights"]]
    assert len(names) == len(set(names))
