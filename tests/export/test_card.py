from __future__ import annotations

import json
import re
import subprocess

import pytest
from exported_bundles import settings_of, spec_of

from tinytimbre.export.card import CardFacts, CardGate, CardMetric, CardTake, CardValidation, write_card
from tinytimbre.export.node import WEB_DIR, node_executable
from tinytimbre.export.settings import read_settings
from tinytimbre.export.size import BundleSize, measure_bundle

SIZE = BundleSize(
    graph_bytes=5000, weights_bytes=1600, settings_bytes=1200, total_bytes=7800,
    graph_brotli=900, weights_brotli=1500, settings_brotli=580, total_brotli=2980,
)  # fmt: skip


def facts(**more) -> CardFacts:
    values = {
        "settings": settings_of(spec_of("gru8")),
        "size": SIZE,
        "decoder_mflops": 0.1248,
        "takes": (
            CardTake(recording_id="aa11", take_id="aa11", split="train", seconds=5.0),
            CardTake(recording_id="bb22", take_id="aa11", split="train", seconds=4.0),
            CardTake(recording_id="cc33", take_id="cc33", split="test", seconds=2.5),
        ),
        "metrics": (
            CardMetric(name="log spectral distance", unit="dB", mean=4.123, low=3.9, high=4.4),
            CardMetric(name="f0 accuracy", unit="%", mean=98.1, better="higher"),
        ),
        "gates": (
            CardGate(name="log_spectral_db", mean=0.12, bound=0.31, margin=0.35, status="passed"),
            CardGate(name="f0_cents", mean=None, bound=None, margin=1.5, status="not shown"),
        ),
        "verdict": "The smallest | model\nthat passes.",
        "reference": "t0999-float32",
        "tfjs_max_abs_error": 3.2e-7,
        "samples": {"take cc33, resynthesis": "samples/cc33.flac"},
    }
    return CardFacts(**{**values, **more})


def test_everything_is_on_the_card():
    text = write_card(facts())
    for part in (
        "# violin", "1,422 parameters", "0.12", "2,980", "7,800", "4.12 dB", "3.9 … 4.4", "too few takes",
        "+0.310", "not shown", "t0999-float32", "3.2e-07", "samples/cc33.flac", "CC0-1.0; nobody",
        "`aa11`, `bb22`, `cc33`", "`f00d`", "`t0123`", "`probe`", "1 test take (2.5 s)", "| train | 1 | 2 | 9.0 |",
    ):  # fmt: skip
        assert part in text, part
    assert text.endswith("\n")
    assert text == write_card(facts())


def test_where_the_model_was_validated_and_why_not_in_a_browser():
    assert "## Validation" not in write_card(facts())
    controls, sounds = {"TensorFlow.js on wasm": 3.2e-7}, {"engine and float64 reference": -128.4, "worklet": -300.0}
    found = CardValidation(where="headless Chromium 150.0", controls=controls, sounds_db=sounds)
    text = write_card(facts(validation=found))
    assert "Validated in headless Chromium 150.0. Largest" in text
    assert "TensorFlow.js on wasm 3e-07" in text
    assert "engine and float64 reference -128 dB, worklet none." in text
    more = {"where": "Node v22", "why_not_browser": "no Chromium here", "missing": {"webgl": "no card"}}
    text = write_card(facts(validation=found.model_copy(update=more)))
    assert "Validated in Node v22, **not in a browser**: no Chromium here. No webgl there: no card." in text


def test_fine_tuning_is_part_of_the_lineage():
    tuned = settings_of(spec_of("gru8")).model_copy(update={"quantisation": "tuned3"})
    assert "this folder, tuned3, fine-tuned for weights of 3 bits" in write_card(facts(settings=tuned))
    assert "fine-tuned" not in write_card(facts())


def test_tables_have_the_same_number_of_cells_in_every_row():
    blocks = re.findall(r"(?:^\|.*\n)+", write_card(facts()), flags=re.MULTILINE)
    assert len(blocks) == 4
    for block in blocks:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1


def test_what_is_not_known_is_said_or_left_out():
    settings = settings_of(spec_of("gru8")).model_copy(update={"data": (), "features_fingerprint": ""})
    text = write_card(facts(settings=settings, gates=(), samples={}, tfjs_max_abs_error=None, takes=()))
    assert "not stated" in text
    assert "not recorded" in text
    assert "## Gates" not in text
    assert "## Listen" not in text


@pytest.mark.skipif(not (WEB_DIR / "node_modules").is_dir(), reason="needs npm ci in web/")
@pytest.mark.parametrize("quantisation", ["uint8", "int4"])
def test_the_snippet_runs(bundles, tmp_path, quantisation):
    folder = bundles("gru8")[1] / quantisation
    text = write_card(facts(settings=read_settings(folder), size=measure_bundle(folder)))
    snippet = re.search(r"```js\n(.*?)```", text, flags=re.DOTALL)
    assert snippet is not None
    loader = json.dumps((WEB_DIR / "src" / "bundle.js").as_uri())
    # The reader's `tf` is the union package and fetches over HTTP; here the same parts, and files.
    lines = [
        "import { createRequire } from 'node:module';",
        "import { readFileSync } from 'node:fs';",
        f"const require = createRequire({json.dumps(str(WEB_DIR / 'package.json'))});",
        "const core = require('@tensorflow/tfjs-core'), { loadGraphModel } = require('@tensorflow/tfjs-converter');",
        "require('@tensorflow/tfjs-backend-cpu');",
        f"const read = (file) => readFileSync({json.dumps(str(folder))} + '/' + file);",
        "const load = async (manifest) => [manifest[0].weights, new Uint8Array(read('weights.bin')).buffer];",
        "const handler = { load: () => core.io.getModelArtifactsForJSON(JSON.parse(read('model.json')), load) };",
        "const whole = (given) => loadGraphModel(given === 'model.json' ? handler : given);",
        "const tf = { ...core, loadGraphModel: whole };",
        "globalThis.fetch = async (file) => new Response(read(file));",
        "const f0Hz = 440, levelDb = -20;",
        snippet[1].replace("import * as tf from '@tensorflow/tfjs';", "").replace("'./bundle.js'", loader),
        "console.log(controls.shape.join(), state.shape.join());",
    ]
    script = tmp_path / "snippet.mjs"
    script.write_text("\n".join(lines))
    done = subprocess.run([node_executable(), script], capture_output=True, text=True)
    assert done.stdout.split() == ["1,126", "1,8"], done.stderr
