"""How many times faster than real time features are extracted: `make bench-features [RECORDINGS=folder] [JOBS=2]`.

Decoding is not counted, starting the processes is. The last line is JSON.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import pathlib
import time

import numpy as np

from tinytimbre.audio.reading import read_audio
from tinytimbre.config import FeatureConfig
from tinytimbre.features.extract import extract_features

SAMPLE_RATE_HZ = 16_000
SUFFIXES = {".wav", ".flac", ".mp3", ".ogg", ".m4a"}


def extract(audio: np.ndarray) -> int:
    """Frames of one recording."""
    ids = {"recording_id": "r", "take_id": "t", "instrument": "i"}
    return extract_features(audio, **ids, sample_rate_hz=SAMPLE_RATE_HZ, config=FeatureConfig()).n_frames


def main() -> None:
    """Extracts everything below a folder and reports the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recordings", type=pathlib.Path)
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    paths = sorted(path for path in args.recordings.rglob("*") if path.suffix.lower() in SUFFIXES)
    takes = [read_audio(path, sample_rate_hz=SAMPLE_RATE_HZ) for path in paths]
    audio_secs = sum(map(len, takes)) / SAMPLE_RATE_HZ
    started = time.perf_counter()
    with concurrent.futures.ProcessPoolExecutor(args.jobs) as pool:
        frames = sum(pool.map(extract, takes))
    wall_secs = time.perf_counter() - started
    print(f"{len(takes)} recordings, {audio_secs:.0f} s of audio, {frames} frames, {args.jobs} processes")
    print(json.dumps({"audio_secs": round(audio_secs, 1), "wall_secs": round(wall_secs, 2),
                      "times_real_time": round(audio_secs / wall_secs, 1)}))  # fmt: skip


if __name__ == "__main__":
    main()
