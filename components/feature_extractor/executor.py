"""Extracts through Beam, then writes the files of the artifact."""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import json
import pathlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tfx.dsl.components.base.base_executor import BaseExecutor

from components.channels import Artifacts, folder, only
from components.feature_extractor.engine import beam_arguments, extract
from components.feature_extractor.store import FeatureStore
from components.resources import beam_flags, jobs
from tinytimbre.audio.recording import Recording, RecordingSet
from tinytimbre.config import config_from_json
from tinytimbre.features.artifact import index_features, save_index, save_statistics
from tinytimbre.features.examples import write_split
from tinytimbre.progress import ProgressEvent, report

POLL_SECS = 0.5


class Executor(BaseExecutor):
    """`Recordings` → `Features`.

    TFX would hand Beam's arguments to a BaseBeamExecutor, but make them part of the cache key.
    """

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: Mapping[str, Any]) -> None:  # noqa: N802
        """Extracts the features of every accepted recording."""
        config = config_from_json(exec_properties["config"])
        source, output = folder(input_dict, "recordings"), folder(output_dict, "features")
        recordings = RecordingSet.load(source)
        rate = recordings.sample_rate_hz
        store = FeatureStore(exec_properties["cache"], sample_rate_hz=rate, config=config.features)
        with _progress(store, recordings.accepted()):
            _extract(recordings.accepted(), recordings_dir=source, store=store)
        _write(recordings.accepted(), features_dir=output, store=store)
        pairs = {
            name: [(r.recording_id, str(r.split)) for r in recordings.accepted(name)] for name in recordings.instruments
        }
        index = index_features(pairs, sample_rate_hz=rate, config=config.features)
        save_index(index, output)
        save_statistics(output, instruments=recordings.instruments, frame_rate_hz=config.features.frame_rate_hz)
        artifact = only(output_dict, "features")
        artifact.set_string_custom_property("fingerprints", json.dumps(index.fingerprints, sort_keys=True))
        artifact.set_int_custom_property("takes", len(recordings.accepted()))


def _extract(recordings: Sequence[Recording], *, recordings_dir: pathlib.Path, store: FeatureStore) -> None:
    """Has the features of all recordings in the store; no engine is started where they are there already."""
    missing = [recording for recording in recordings if not store.path(recording).is_file()]
    for recording in missing:
        store.keep_audio(recording, recordings_dir=recordings_dir)
    if missing:
        extract(missing, store=store, arguments=beam_arguments(beam_flags(), jobs=jobs()))


def _write(recordings: Sequence[Recording], *, features_dir: pathlib.Path, store: FeatureStore) -> None:
    """One file per split and instrument, recordings by id; here, since no other machine may see the artifact."""
    groups = collections.defaultdict(list)
    for recording in sorted(recordings, key=lambda recording: recording.recording_id):
        groups[str(recording.split), recording.instrument].append(recording)

    def write(split: str, group: Sequence[Recording]) -> None:
        write_split(map(store.read, group), features_dir=features_dir, split=split)

    with concurrent.futures.ThreadPoolExecutor(jobs()) as threads:
        for done in [threads.submit(write, split, group) for (split, _), group in groups.items()]:
            done.result()


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
