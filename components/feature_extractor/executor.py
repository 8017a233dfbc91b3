"""Runs the Beam pipeline, then writes the index and the statistics."""

from __future__ import annotations

import contextlib
import json
import pathlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor

from components.channels import Artifacts, folder, only
from components.feature_extractor.store import FeatureStore
from components.feature_extractor.transforms import Extract, WriteShard
from tinytimbre.audio.recording import Recording, RecordingSet
from tinytimbre.config import config_from_json
from tinytimbre.features.artifact import index_features, save_index, save_statistics
from tinytimbre.progress import ProgressEvent, report

POLL_SECS = 0.5


class Executor(BaseBeamExecutor):
    """`Recordings` → `Features`."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: Mapping[str, Any]) -> None:  # noqa: N802
        """Extracts the features of every accepted recording."""
        config = config_from_json(exec_properties["config"])
        source, output = folder(input_dict, "recordings"), folder(output_dict, "features")
        recordings = RecordingSet.load(source)
        rate = recordings.sample_rate_hz
        store = FeatureStore(exec_properties["cache"], sample_rate_hz=rate, config=config.features)
        with _progress(store, recordings.accepted()):
            self._run(recordings.accepted(), source=source, output=output, store=store)
        pairs = {
            name: [(r.recording_id, str(r.split)) for r in recordings.accepted(name)] for name in recordings.instruments
        }
        index = index_features(pairs, sample_rate_hz=rate, config=config.features)
        save_index(index, output)
        save_statistics(output, instruments=recordings.instruments, frame_rate_hz=config.features.frame_rate_hz)
        artifact = only(output_dict, "features")
        artifact.set_string_custom_property("fingerprints", json.dumps(index.fingerprints, sort_keys=True))
        artifact.set_int_custom_property("takes", len(recordings.accepted()))

    def _run(
        self, recordings: Sequence[Recording], *, source: pathlib.Path, output: pathlib.Path, store: FeatureStore
    ) -> None:
        with self._make_beam_pipeline() as pipeline:
            (
                pipeline
                | "Recordings" >> beam.Create(recordings)
                | "Spread" >> beam.Reshuffle()
                | "Extract" >> beam.ParDo(Extract(recordings_dir=str(source), store=store))
                | "Group" >> beam.GroupByKey()
                | "Write" >> beam.ParDo(WriteShard(features_dir=str(output), store=store))
            )


@contextlib.contextmanager
def _progress(store: FeatureStore, recordings: Sequence[Recording]) -> Iterator[None]:
    """Reports how many recordings the store holds; workers may be other processes or machines."""
    paths = [store.path(recording) for recording in recordings]
    finished = threading.Event()

    def watch() -> None:
        while not finished.wait(POLL_SECS):
            done = sum(path.is_file() for path in paths)
            report(ProgressEvent("features", done, len(paths), "recordings"))

    report(ProgressEvent("features", 0, len(paths), "recordings"))
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
        report(ProgressEvent("features", len(paths), len(paths), "recordings"))
    finally:
        finished.set()
        watcher.join()
