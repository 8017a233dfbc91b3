"""Features by several processes and by a cluster: the same, bit for bit, as by threads of one process."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator

import pytest
from bench import NOTES, Bench, Finished
from distributed import Client

from benchmarks.dask_cluster import DASK_RUNNER as DASK
from benchmarks.dask_cluster import dask_cluster
from components.feature_extractor.engine import beam_arguments, running
from components.feature_extractor.store import FeatureStore
from components.feature_extractor.transforms import Extract
from components.resources import BEAM_VARIABLE, surroundings
from tinytimbre.audio.recording import RecordingSet
from tinytimbre.errors import TinyTimbreError

PROCESSES = ["--direct_running_mode=multi_processing", "--direct_num_workers=2"]


def extracted(finished: Finished, folder: pathlib.Path, *flags: str) -> dict[str, bytes]:
    """The files of the Features artifact and of the store, extracted with an empty store."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(BEAM_VARIABLE, json.dumps(flags))
        bench = Bench(folder, finished.bench.config)
        artifact = bench.run("FeatureExtractor", finished.outputs["RecordingExampleGen"])["features"]
    return {**contents(pathlib.Path(artifact.uri)), **contents(folder / "cache" / "features")}


def contents(folder: pathlib.Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def by_threads(finished: Finished) -> dict[str, bytes]:
    features = pathlib.Path(finished.outputs["FeatureExtractor"]["features"].uri)
    found = {**contents(features), **contents(finished.bench.folder / "cache" / "features")}
    assert sum(name.endswith(".example") for name in found) == NOTES
    return found


def test_several_processes_extract_the_same(
    finished: Finished, by_threads: dict[str, bytes], tmp_path: pathlib.Path
) -> None:
    with watched_children("sdk_worker_main") as workers:
        assert extracted(finished, tmp_path, *PROCESSES) == by_threads
    assert len(workers) == 2


@contextlib.contextmanager
def watched_children(word: str) -> Iterator[set[int]]:
    """Ids of all processes that this one has started and whose command holds `word`."""
    seen: set[int] = set()
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.05):
            for path in pathlib.Path("/proc").glob("[0-9]*"):
                with contextlib.suppress(OSError):
                    parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
                    if parent == os.getpid() and word in (path / "cmdline").read_text():
                        seen.add(int(path.name))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield seen
    finally:
        over.set()
        watcher.join()


def test_a_dask_cluster_extracts_the_same(
    finished: Finished, by_threads: dict[str, bytes], tmp_path: pathlib.Path
) -> None:
    with dask_cluster(tmp_path, workers=2) as file, Client(scheduler_file=str(file), timeout=300) as client:
        # Unless told how many parts, Beam makes one of 128 recordings: only one worker would work.
        flags = [DASK, f"--dask_scheduler_file={file}", f"--dask_npartitions={NOTES}"]
        assert extracted(finished, tmp_path / "bench", *flags) == by_threads
        executed = client.run(lambda dask_worker: dask_worker.state.executed_count)
        assert len(executed) == 2
        assert all(count > 0 for count in executed.values())
        connected = client.run_on_scheduler(lambda dask_scheduler: list(dask_scheduler.clients))
        assert [name for name in connected if name.startswith("Client-")] == [client.id]


def test_a_cluster_that_does_not_answer_is_said_without_traceback() -> None:
    flags = [DASK, "--dask_client_address=tcp://127.0.0.1:1", "--dask_connection_timeout=1"]
    with pytest.raises(TinyTimbreError, match="must answer"), running(flags):
        pass


def test_a_runner_that_is_not_there_is_said_with_its_name() -> None:
    for name in ("NoSuchRunner", "no.such.module.Runner", "apache_beam.NoSuchRunner"):
        with (
            pytest.raises(TinyTimbreError, match="one of Beam's, and installed") as caught,
            running([f"--runner={name}"]),
        ):
            pass
        assert name in caught.value.got


def test_arguments_come_behind_those_of_the_default_runner_or_stand_alone() -> None:
    default = beam_arguments((), jobs=3)
    assert default == ["--runner=FnApiRunner", "--direct_running_mode=multi_threading", "--direct_num_workers=3"]
    assert beam_arguments(PROCESSES, jobs=3) == [*default, *PROCESSES]
    assert beam_arguments([DASK, "--dask_npartitions=2"], jobs=3) == [DASK, "--dask_npartitions=2"]
    assert surroundings(jobs=3, beam=[DASK]) == {"TINYTIMBRE_JOBS": "3", "TINYTIMBRE_BEAM": json.dumps([DASK])}


def test_an_element_that_comes_twice_is_extracted_once(
    finished: Finished, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = finished.folder("RecordingExampleGen", "recordings")
    recordings, config = RecordingSet.load(source), finished.bench.config
    recording = recordings.accepted()[0]
    store = FeatureStore(tmp_path, sample_rate_hz=recordings.sample_rate_hz, config=config.features)
    store.keep_audio(recording, recordings_dir=source)
    Extract(store).process(recording)
    before = contents(tmp_path)
    assert len(before) == 2  # audio and features
    monkeypatch.setattr("components.feature_extractor.transforms.extract_features", None)
    store.keep_audio(recording, recordings_dir=source)
    Extract(store).process(recording)
    assert contents(tmp_path) == before


GUARDED = """
    import json, sys
    asked = []
    def guard(event, arguments):
        if event == "urllib.Request":
            asked.append(str(arguments[0]))
        elif event == "socket.getaddrinfo" and arguments[0] not in (None, "", "localhost", "127.0.0.1", "::1"):
            asked.append(str(arguments[0]))
    sys.addaudithook(guard)
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions
    with beam.Pipeline(options=PipelineOptions(sys.argv[1:])) as pipeline:
        pipeline | beam.Create([1, 2, 3]) | beam.Map(str)
    print(json.dumps(asked))
"""


def asked_for(home: pathlib.Path, *flags: str) -> list[str]:
    """Addresses that Beam looks for with these arguments, where it has downloaded nothing before."""
    command = [sys.executable, "-c", textwrap.dedent(GUARDED), *flags]
    environment = {**os.environ, "HOME": str(home)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout.splitlines()[-1]))


def test_nothing_is_downloaded(tmp_path: pathlib.Path) -> None:
    assert asked_for(tmp_path, *beam_arguments((), jobs=2)) == []
    # What the configuration refuses: the guard sees that it would have.
    assert any("github.com" in address for address in asked_for(tmp_path, "--runner=DirectRunner"))
