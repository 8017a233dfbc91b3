"""The sounds of a `SweepReport` artifact, beside its tables.

renderings/<candidate_id>/<recording_id>.flac
originals/<instrument>/<recording_id>.flac
"""

from __future__ import annotations

import pathlib

import soundfile

from tinytimbre.quality.verdict import Verdict
from tinytimbre.report.tables import AudioClip, Role, SweepTables, roles

RENDERINGS, ORIGINALS = "renderings", "originals"


def rendering_path(report: pathlib.Path, *, candidate_id: str, recording_id: str) -> pathlib.Path:
    """Where a model's version of a recording is."""
    return report / RENDERINGS / candidate_id / f"{recording_id}.flac"


def original_path(report: pathlib.Path, *, instrument: str, recording_id: str) -> pathlib.Path:
    """Where the recording itself is."""
    return report / ORIGINALS / instrument / f"{recording_id}.flac"


def audio_clips(report: pathlib.Path, *, tables: SweepTables, verdict: Verdict) -> list[AudioClip]:
    """What to listen to for one instrument: per recording the original and the model of each role."""
    clips = []
    cast: dict[Role, str] = {"original": ""}
    cast.update(roles(tables.candidates, verdict))  # type: ignore[arg-type]
    for original in sorted((report / ORIGINALS / verdict.instrument).glob("*.flac")):
        for role, candidate_id in cast.items():
            path = rendering_path(report, candidate_id=candidate_id, recording_id=original.stem)
            path = path if candidate_id else original
            if path.is_file():
                rate = int(soundfile.info(path).samplerate)
                clips.append(AudioClip(verdict.instrument, original.stem, role, candidate_id, path, rate))
    return clips


def sound_files(report: pathlib.Path) -> dict[str, list[pathlib.Path]]:
    """All sounds by candidate id, those of the recordings themselves by instrument."""
    folders = [*(report / RENDERINGS).glob("*"), *(report / ORIGINALS).glob("*")]
    return {folder.name: sorted(folder.glob("*.flac")) for folder in folders}
