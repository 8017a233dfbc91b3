"""What the workers of a Beam engine do, in a module that they can import without TFX."""

from __future__ import annotations

import apache_beam as beam

from components.feature_extractor.store import FeatureStore
from tinytimbre.audio.reading import read_audio
from tinytimbre.audio.recording import Recording
from tinytimbre.features.extract import extract_features


class Extract(beam.DoFn):
    """Takes a recording; its features are then in the store, which is all that a worker reads and writes.

    Engines may hand an element out twice, and may lose or double what a step returns; neither matters here.
    """

    def __init__(self, store: FeatureStore) -> None:
        self.store = store

    def process(self, recording: Recording) -> None:
        """Extracts the features unless the store has them."""
        if self.store.path(recording).is_file():
            return
        rate = self.store.sample_rate_hz
        features = extract_features(
            read_audio(self.store.audio_path(recording), sample_rate_hz=rate),
            recording_id=recording.recording_id,
            take_id=recording.take_id,
            instrument=recording.instrument,
            sample_rate_hz=rate,
            config=self.store.config,
        )
        self.store.write(recording, features)
