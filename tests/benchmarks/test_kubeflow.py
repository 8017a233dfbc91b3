"""What the benchmark says of two places with published models."""

from __future__ import annotations

import json
import pathlib

from benchmarks.kubeflow import beside


def place(folder: pathlib.Path, **instruments: bytes) -> pathlib.Path:
    """Published models with an index as `tinytimbre.export.publish` writes it, of one file each."""
    index = {}
    for name, content in instruments.items():
        version = {"version": "0001-x", "bytes": len(content), "trial_id": "t", "sweep": "s", "quantisation": "int4"}
        index[name] = {"latest": "0001-x", "versions": [version]}
        (folder / name / "0001-x").mkdir(parents=True)
        (folder / name / "0001-x" / "weights.bin").write_bytes(content)
    folder.mkdir(exist_ok=True)
    (folder / "index.json").write_text(json.dumps({"format_version": 1, "instruments": index}))
    return folder


def test_equal_different_and_absent_models_are_told_apart(tmp_path: pathlib.Path) -> None:
    local = place(tmp_path / "local", cello=b"one", flute=b"one", oboe=b"one")
    kubeflow = place(tmp_path / "kubeflow", cello=b"one", flute=b"two", tuba=b"one")
    rows = {row["instrument"]: row for row in beside(local, kubeflow)}
    assert {name: row["different"] for name, row in rows.items()} == {
        "cello": [],
        "flute": ["weights.bin"],
        "oboe": ["weights.bin"],
        "tuba": ["weights.bin"],
    }
    assert rows["oboe"]["kubeflow"] == rows["tuba"]["local"] == {}
    assert rows["cello"]["local"]["quantisation"] == "int4"
