"""Extracted features, one file per recording: an interrupted extraction continues, an added recording adds one.

The name of a file digests everything that changes its content except the source code, whose version is
`tinytimbre.features.artifact.FEATURES_VERSION`. Beside it lies the audio: the folder is the only one that workers on
other machines must be able to reach.
"""

from __future__ import annotations

import dataclasses
import pathlib

from tinytimbre.audio.recording import Recording
from tinytimbre.config import FeatureConfig
from tinytimbre.durable import link_or_copy, write_whole
from tinytimbre.features.artifact import fingerprint
from tinytimbre.features.examples import TakeFeatures, from_example, to_example


class FeatureStore:
    """Features of single recordings below `root`."""

    def __init__(self, root: str | pathlib.Path, *, sample_rate_hz: int, config: FeatureConfig) -> None:
        self.root, self.sample_rate_hz, self.config = pathlib.Path(root), sample_rate_hz, config

    def path(self, recording: Recording) -> pathlib.Path:
        """Where the features of a recording are, once they are."""
        digest = fingerprint([(recording.recording_id, "")], sample_rate_hz=self.sample_rate_hz, config=self.config)
        return self.root / recording.recording_id[:2] / f"{recording.recording_id}-{digest[:16]}.example"

    def audio_path(self, recording: Recording) -> pathlib.Path:
        """Where its audio is."""
        return self.path(recording).with_suffix(pathlib.Path(recording.audio_path).suffix)

    def keep_audio(self, recording: Recording, *, recordings_dir: pathlib.Path) -> None:
        """Has the audio of a recording at `audio_path`, linked where possible."""
        if not self.audio_path(recording).is_file():
            link_or_copy(recordings_dir / recording.audio_path, self.audio_path(recording))

    def read(self, recording: Recording) -> TakeFeatures:
        """The features, under the instrument and take the recording has in this run."""
        found = from_example(self.path(recording).read_bytes())
        return dataclasses.replace(found, take_id=recording.take_id, instrument=recording.instrument)

    def write(self, recording: Recording, features: TakeFeatures) -> None:
        """Writes the file, whole or not at all."""
        write_whole(self.path(recording), to_example(features))
