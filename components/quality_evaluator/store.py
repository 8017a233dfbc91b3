"""Evaluations of single models, kept across runs: an interrupted evaluation continues.

The key digests the bundle's bytes, the held-out data and the code that measures.
"""

from __future__ import annotations

import hashlib
import json
import pathlib
import shutil
import uuid

import soundfile

from components.quality_evaluator.evaluation import Evaluation


class EvaluationStore:
    """One folder per evaluation below `root`: ``clips.json`` and the renderings as FLAC."""

    def __init__(self, root: str | pathlib.Path, *, sample_rate_hz: int) -> None:
        self.root, self.sample_rate_hz = pathlib.Path(root), sample_rate_hz

    def folder(self, key: str) -> pathlib.Path:
        """Where an evaluation is, once it is."""
        return self.root / key

    def read(self, key: str) -> Evaluation | None:
        """The evaluation without its renderings (see `renderings`); None while there is none."""
        path = self.folder(key) / "clips.json"
        return Evaluation(**json.loads(path.read_text())) if path.is_file() else None

    def renderings(self, key: str) -> dict[str, pathlib.Path]:
        """Sound files by recording id."""
        return {path.stem: path for path in sorted(self.folder(key).glob("*.flac"))}

    def write(self, key: str, evaluation: Evaluation) -> None:
        """Writes the folder, whole or not at all."""
        partial = self.root / f".{key}.{uuid.uuid4().hex}"  # ids of processes repeat in other containers
        partial.mkdir(parents=True)
        for recording_id, audio in evaluation.renderings.items():
            soundfile.write(partial / f"{recording_id}.flac", audio, self.sample_rate_hz, subtype="PCM_16")
        content = {
            "clips": evaluation.clips,
            "tfjs_max_abs_error": evaluation.tfjs_max_abs_error,
            "reason": evaluation.reason,
            "sanity": dict(evaluation.sanity),
        }
        (partial / "clips.json").write_text(json.dumps(content))
        shutil.rmtree(self.folder(key), ignore_errors=True)
        partial.rename(self.folder(key))


def baseline_key(*, fingerprint: str, code_version: str) -> str:
    """Forty hexadecimal digits for an instrument's baseline, which has no bundle."""
    return hashlib.sha256(f"baseline {fingerprint} {code_version}".encode()).hexdigest()[:40]


def evaluation_key(bundle: pathlib.Path, *, fingerprint: str, code_version: str) -> str:
    """Forty hexadecimal digits."""
    return content_key(bundle, salt=f"{fingerprint} {code_version}")


def content_key(bundle: pathlib.Path, *, salt: str) -> str:
    """Forty hexadecimal digits of the files of a bundle and whatever else decides."""
    digest = hashlib.sha256(salt.encode())
    for path in sorted(bundle.iterdir()):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:40]
