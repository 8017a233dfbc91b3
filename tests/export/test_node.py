"""The real TensorFlow.js on the exported files, against TensorFlow."""

from __future__ import annotations

import json
import logging
import shutil

import numpy as np
import pytest
from exported_bundles import QUANTISATIONS, SPECS, resealed

from tinytimbre.errors import TinyTimbreError
from tinytimbre.export.node import SCRIPT, WEB_DIR, BundleRun, max_abs_error, run_bundles

# Controls lie in (0, 2]: float32 rounds them by 1e-7, and a recurrent state carries that on; 4e-7 was measured.
TOLERANCE = 1e-5


@pytest.fixture(scope="module", autouse=True)
def _installed():
    if not (WEB_DIR / "node_modules").is_dir():
        pytest.fail("web/node_modules is missing: make install, or npm ci in web/")


def test_tensorflowjs_computes_what_tensorflow_does(bundles, played):
    runs = [BundleRun(bundles(name)[1] / q, played) for name in SPECS for q in QUANTISATIONS]
    for run, controls in zip(runs, run_bundles(runs), strict=True):
        assert controls.shape == (len(played), 126)
        assert max_abs_error(run.bundle_dir, inputs=played, controls=controls) <= TOLERANCE, run.bundle_dir


@pytest.mark.parametrize("name", SPECS)
def test_the_float32_bundle_is_the_trained_decoder(bundles, played, name):
    decoder, folder = bundles(name)
    [controls] = run_bundles([BundleRun(folder / "float32", played)], backend="cpu")
    np.testing.assert_allclose(controls, decoder(played[np.newaxis]).numpy()[0], rtol=0, atol=TOLERANCE)


def test_results_come_in_the_order_of_the_jobs_and_states_do_not_mix(bundles, played):
    gru, cnn = (bundles(name)[1] / "float32" for name in ("gru8", "cnn8"))
    runs = [BundleRun(gru, played[:40]), BundleRun(cnn, played[40:41]), BundleRun(gru, played[:40])]
    first, single, again = run_bundles(runs)
    assert [len(first), len(single), len(again)] == [40, 1, 40]
    np.testing.assert_array_equal(first, again)
    assert max_abs_error(cnn, inputs=played[40:41], controls=single) <= TOLERANCE


def test_no_jobs_no_node():
    assert run_bundles([], web_dir="/nowhere") == []


def test_progress_is_reported_to_the_end(bundles, played, caplog):
    caplog.set_level(logging.INFO, logger="tinytimbre.progress")
    run_bundles([BundleRun(bundles("gru8")[1] / "uint8", np.tile(played, (3, 1)))], label="check")
    events = [record.progress for record in caplog.records]
    assert [(e.label, e.done, e.total) for e in events] == [("check", 500, 750), ("check", 750, 750)]


@pytest.mark.parametrize("shape", [(0, 2), (5, 3), (5,)])
def test_inputs_must_be_frames_of_two(bundles, shape):
    with pytest.raises(ValueError, match=r"\[T, 2\]"):
        run_bundles([BundleRun(bundles("gru8")[1] / "uint8", np.zeros(shape, np.float32))])


def test_missing_packages_say_how_to_get_them(bundles, played, tmp_path):
    run = BundleRun(bundles("gru8")[1] / "uint8", played)
    with pytest.raises(TinyTimbreError, match="web/"):
        run_bundles([run], web_dir=tmp_path)
    shutil.copytree(WEB_DIR / "tools", tmp_path / "tools")
    with pytest.raises(TinyTimbreError, match="npm ci"):
        run_bundles([run], web_dir=tmp_path)


def test_what_node_says_is_shown(bundles, played, tmp_path):
    folder = shutil.copytree(bundles("gru8")[1] / "uint8", tmp_path / "model")
    model = json.loads((folder / "model.json").read_text())
    next(node for node in model["modelTopology"]["node"] if node["op"] == "Tanh")["op"] = "NoSuchOperation"
    (folder / "model.json").write_text(json.dumps(model))
    resealed(folder)
    with pytest.raises(TinyTimbreError, match="NoSuchOperation"):
        run_bundles([BundleRun(folder, played)])


def test_a_leak_is_an_error(bundles, played, tmp_path):
    """The same script, made to forget the old states."""
    (tmp_path / "tools").mkdir()
    for name in ("node_modules", "src", "tools/tfjs-in-node.mjs"):
        (tmp_path / name).symlink_to(WEB_DIR / name)
    script = (WEB_DIR / SCRIPT).read_text()
    assert "tf.dispose([now, state])" in script
    (tmp_path / SCRIPT).write_text(script.replace("tf.dispose([now, state])", "tf.dispose([now])"))
    with pytest.raises(TinyTimbreError, match="250 tensors leaked"):
        run_bundles([BundleRun(bundles("gru8")[1] / "uint8", played)], web_dir=tmp_path)


def test_the_lock_names_no_registry_and_pins_every_package():
    lock = json.loads((WEB_DIR / "package-lock.json").read_text())
    packages = {name: package for name, package in lock["packages"].items() if name}
    assert packages["node_modules/@tensorflow/tfjs-converter"]["version"] == "4.22.0"
    assert all("resolved" not in package and package["integrity"] for package in packages.values())
