"""What is known about each recording once it has been read and checked, and the file that keeps it.

recordings = RecordingSet.load(directory)
recordings.accepted("violin")
"""

from __future__ import annotations

import pathlib
from typing import Literal

import pydantic

from tinytimbre.durable import write_whole
from tinytimbre.errors import TinyTimbreError

RECORDINGS_JSON = "recordings.json"
AUDIO_FOLDER = "audio"

Split = Literal["train", "validation", "test"]


class Problem(pydantic.BaseModel):
    """One finding about a recording or an instrument; a fatal one excludes it from training."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    kind: str
    message: str
    fatal: bool = True


def problem(kind: str, error: TinyTimbreError, *, fatal: bool = True) -> Problem:
    """The finding ``kind`` in the words of ``error``: rule, value, likely cause, way out."""
    return Problem(kind=kind, message=str(error), fatal=fatal)


class Recording(pydantic.BaseModel):
    """One source file; ``seconds``, ``sample_rate_hz`` and ``channels`` are those of the source (0 if unreadable)."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    recording_id: str
    instrument: str
    path: str
    take_id: str
    seconds: float = 0.0
    sample_rate_hz: int = 0
    channels: int = 0
    split: Split | None = None
    source: str = ""
    licence: str = ""
    attribution: str = ""
    problems: tuple[Problem, ...] = ()

    @property
    def accepted(self) -> bool:
        """Whether the recording itself is fit for use."""
        return not any(found.fatal for found in self.problems)

    @property
    def audio_path(self) -> str:
        """Where `ingest` puts the checked audio, relative to its output."""
        return f"{AUDIO_FOLDER}/{self.instrument}/{self.recording_id}.flac"


class RecordingSet(pydantic.BaseModel):
    """Every file that was found: accepted ones with their split, rejected ones with the reasons."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    recordings: tuple[Recording, ...]
    sample_rate_hz: int
    instrument_problems: dict[str, tuple[Problem, ...]] = {}

    @property
    def instruments(self) -> tuple[str, ...]:
        """The usable instruments, sorted."""
        return tuple(sorted({recording.instrument for recording in self.accepted()}))

    def accepted(self, instrument: str | None = None) -> tuple[Recording, ...]:
        """Recordings with a split: fit for use, and of an instrument that has enough takes."""
        return tuple(
            recording
            for recording in self.recordings
            if recording.accepted and recording.split and instrument in (None, recording.instrument)
        )

    def rejected(self) -> tuple[Recording, ...]:
        """Recordings that a fatal problem excludes."""
        return tuple(recording for recording in self.recordings if not recording.accepted)

    def save(self, directory: str | pathlib.Path) -> pathlib.Path:
        """Writes recordings.json whole or not at all."""
        path = pathlib.Path(directory) / RECORDINGS_JSON
        write_whole(path, (self.model_dump_json(indent=1) + "\n").encode())
        return path

    @classmethod
    def load(cls, directory: str | pathlib.Path) -> RecordingSet:
        """Reads back what `save` wrote.

        Raises:
            TinyTimbreError: there is no recordings.json, or it is not one.
        """
        path = pathlib.Path(directory) / RECORDINGS_JSON
        try:
            return cls.model_validate_json(path.read_bytes())
        except (OSError, pydantic.ValidationError) as error:
            raise TinyTimbreError(
                f"ingested recordings are listed in {RECORDINGS_JSON}",
                got=f"{path}: {error}"[:300],
                remedy="ingest the recordings again",
            ) from error
