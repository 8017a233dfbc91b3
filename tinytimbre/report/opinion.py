"""ViSQOL's opinion of the models that the report plays: reported beside the metrics, deciding nothing."""

from __future__ import annotations

import collections
from collections.abc import Iterable, Sequence

import numpy as np

from tinytimbre.errors import TinyTimbreError
from tinytimbre.quality.visqol import visqol_mos
from tinytimbre.report.embed import SAMPLE_RATE_HZ, read_clip
from tinytimbre.report.tables import AudioClip

MAX_SECS = 6.0


def visqol_by_candidate(clips: Sequence[AudioClip]) -> dict[str, float]:
    """Mean opinion score of each candidate over the recordings that it is heard on.

    The first six seconds of each are compared with the original; recordings that ViSQOL cannot judge (silent, shorter
    than a second) are left out, and a candidate without any has no score.
    """
    scores: dict[str, list[float]] = collections.defaultdict(list)
    for recording in _by_recording(clips):
        original = next((clip for clip in recording if clip.role == "original"), None)
        if original is None:
            continue
        reference = read_clip(original.path, max_secs=MAX_SECS)
        for candidate_id, clip in {c.candidate_id: c for c in recording if c.candidate_id}.items():
            score = _score(reference, read_clip(clip.path, max_secs=MAX_SECS))
            scores[candidate_id] += [] if score is None else [score]
    return {candidate_id: float(np.mean(each)) for candidate_id, each in scores.items() if each}


def _by_recording(clips: Sequence[AudioClip]) -> Iterable[list[AudioClip]]:
    keys = dict.fromkeys((clip.instrument, clip.recording_id) for clip in clips)
    return ([clip for clip in clips if (clip.instrument, clip.recording_id) == key] for key in keys)


def _score(reference: np.ndarray, audio: np.ndarray) -> float | None:
    common = min(len(reference), len(audio))
    try:
        return visqol_mos(reference[:common], audio[:common], sample_rate_hz=SAMPLE_RATE_HZ)
    except TinyTimbreError:
        return None
