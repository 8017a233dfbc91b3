"""The steps of the Beam pipeline, in a module that workers can import without TFX.

Between the steps travel descriptions of recordings, not audio: memory holds one recording per worker however
many there are.
"""

from __future__ import annotations

import pathlib
from collections.abc import Iterable, Iterator

import apache_beam as beam

from components.feature_extractor.store import FeatureStore
from tinytimbre.audio.reading import read_audio
from tinytimbre.audio.recording import Recording
from tinytimbre.features.examples import write_split
from tinytimbre.features.extract import extract_features

Key = tuple[str, str]


class Extract(beam.DoFn):
    """Recording → ((split, instrument), recording); its features are then in the store."""

    def __init__(self, *, recordings_dir: str, store: FeatureStore) -> None:
        self.recordings_dir, self.store = recordings_dir, store

    def process(self, recording: Recording) -> Iterator[tuple[Key, Recording]]:
        """Extracts the features unless the store has them."""
        if not self.store.path(recording).is_file():
            rate = self.store.sample_rate_hz
            audio = read_audio(pathlib.Path(self.recordings_dir) / recording.audio_path, sample_rate_hz=rate)
            features = extract_features(
                audio,
                recording_id=recording.recording_id,
                take_id=recording.take_id,
                instrument=recording.instrument,
                sample_rate_hz=rate,
                config=self.store.config,
            )
            self.store.write(recording, features)
        yield (str(recording.split), recording.instrument), recording


class WriteShard(beam.DoFn):
    """((split, instrument), recordings) → number of recordings written to the TFRecord file of both."""

    def __init__(self, *, features_dir: str, store: FeatureStore) -> None:
        self.features_dir, self.store = features_dir, store

    def process(self, element: tuple[Key, Iterable[Recording]]) -> Iterator[int]:
        """Writes one file, in the order of the recordings' ids."""
        (split, _), group = element
        recordings = sorted(group, key=lambda recording: recording.recording_id)
        takes = (self.store.read(recording) for recording in recordings)
        yield sum(write_split(takes, features_dir=self.features_dir, split=split).values())
