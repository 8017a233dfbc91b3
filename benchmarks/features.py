"""How fast features are extracted, and how much faster by two workers: `make bench-features [RECORDINGS=folder]`.

The recordings are repeated until there are some minutes of them. Each engine extracts them with 1 and 2 workers:
threads of one process, processes, and a Dask cluster that is running already. Decoding counts, and so does what an
engine takes to start. The last line is JSON.
"""

from __future__ import annotations

import argparse
import itertools
import json
import pathlib
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence

import numpy as np
import soundfile

from benchmarks.dask_cluster import DASK_RUNNER, dask_cluster
from benchmarks.options import exit_code, positive_float, positive_int
from components.feature_extractor.engine import beam_arguments, extract
from components.feature_extractor.store import FeatureStore
from tinytimbre.audio.reading import read_audio
from tinytimbre.audio.recording import Recording
from tinytimbre.config import FeatureConfig
from tinytimbre.errors import TinyTimbreError

SAMPLE_RATE_HZ = 16_000
SUFFIXES = {".wav", ".flac", ".mp3", ".ogg", ".m4a"}
ENGINES = ("threads", "processes", "dask")


def prepared(
    takes: Sequence[np.ndarray], *, minutes: float, root: pathlib.Path
) -> tuple[FeatureStore, list[Recording]]:
    """A store with the audio of so many recordings that they last `minutes`, and with no features."""
    store = FeatureStore(root, sample_rate_hz=SAMPLE_RATE_HZ, config=FeatureConfig())
    recordings: list[Recording] = []
    left = minutes * 60 * SAMPLE_RATE_HZ
    for number, audio in enumerate(itertools.cycle(takes)):
        if left <= 0:
            return store, recordings
        recording = Recording(recording_id=f"{number:016x}", instrument="any", path="", take_id=str(number))
        store.audio_path(recording).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(store.audio_path(recording), audio, SAMPLE_RATE_HZ, subtype="PCM_24")
        recordings.append(recording)
        left -= len(audio)
    raise AssertionError


def wall_secs(takes: Sequence[np.ndarray], *, minutes: float, engine: str, workers: int) -> float:
    """Of extracting everything with one engine."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        store, recordings = prepared(takes, minutes=minutes, root=folder / "store")
        if engine != "dask":
            mode = "multi_threading" if engine == "threads" else "multi_processing"
            return _timed(store, recordings, beam_arguments([f"--direct_running_mode={mode}"], jobs=workers))
        with dask_cluster(folder, workers=workers) as file:
            flags = [DASK_RUNNER, f"--dask_scheduler_file={file}", f"--dask_npartitions={len(recordings)}"]
            return _timed(store, recordings, flags)


def _timed(store: FeatureStore, recordings: Sequence[Recording], arguments: Sequence[str]) -> float:
    started = time.perf_counter()
    extract(recordings, store=store, arguments=arguments)
    secs = time.perf_counter() - started
    missing = [recording for recording in recordings if not store.path(recording).is_file()]
    assert not missing
    return secs


def measured(takes: Sequence[np.ndarray], *, minutes: float, most: int, engines: Sequence[str]) -> Iterator[dict]:
    """One row per engine."""
    for engine in engines:
        one, several = (wall_secs(takes, minutes=minutes, engine=engine, workers=workers) for workers in (1, most))
        yield {"engine": engine, "one_secs": round(one, 2), "several_secs": round(several, 2),
               "speed_up": round(one / several, 2), "times_real_time": round(60 * minutes / several, 1)}  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Extracts everything below a folder several times and reports the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recordings", type=pathlib.Path)
    parser.add_argument("--jobs", type=positive_int, default=2, help="workers to compare with one")
    parser.add_argument("--minutes", type=positive_float, default=60.0, help="of audio")
    parser.add_argument("--engine", nargs="+", choices=ENGINES, default=ENGINES)
    args = parser.parse_args(argv)
    return exit_code(lambda: _measure(args))


def _measure(args: argparse.Namespace) -> int:
    paths = sorted(path for path in args.recordings.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise TinyTimbreError("there must be recordings", got=str(args.recordings), remedy="tinytimbre pull")
    takes = [read_audio(path, sample_rate_hz=SAMPLE_RATE_HZ) for path in paths]
    print(f"{args.minutes:g} minutes of audio, from {len(takes)} recordings")
    print(f"{'engine':10} {'1 worker':>10} {f'{args.jobs} workers':>10} {'speed-up':>9} {'× real time':>12}")
    rows = []
    for row in measured(takes, minutes=args.minutes, most=args.jobs, engines=args.engine):
        rows.append(row)
        times = f"{row['one_secs']:9.1f}s {row['several_secs']:9.1f}s"
        print(f"{row['engine']:10} {times} {row['speed_up']:9.2f} {row['times_real_time']:12.0f}", flush=True)
    print(json.dumps(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
