"""All metrics of one rendering of one take."""

from __future__ import annotations

import numpy as np

from tinytimbre.errors import TinyTimbreError
from tinytimbre.features.examples import TakeFeatures
from tinytimbre.features.loudness import loudness_db
from tinytimbre.features.statistics import is_played
from tinytimbre.quality import metrics


def evaluate_take(
    reference: TakeFeatures, audio: np.ndarray, *, sample_rate_hz: int, frame_rate_hz: float, tracker: str
) -> dict[str, float]:
    """Compares a rendering with the recording it was rendered from.

    Args:
        reference: the recording with its features; their loudness and pitch are taken as they are.
        audio: float32 [T * hop], the rendering.
        sample_rate_hz: of both.
        frame_rate_hz: of the features.
        tracker: name of the pitch tracker, the one that made the features.

    Returns:
        ``log_spectral_db``, ``mel_spectral_db``, ``mfcc_db``, ``loudness_db``, ``f0_accuracy_points`` (higher is
        better), ``f0_cents``. The last two count the frames that `tinytimbre.features.statistics.is_played` in the
        reference (confidently voiced, not silent) and are NaN where there is none: the take is then left out
        of the pitch gates.

    Raises:
        TinyTimbreError: either sound is silent, too short or has NaN, or the lengths differ.
    """
    try:
        values = {
            "log_spectral_db": metrics.log_spectral_db(reference.audio, audio, sample_rate_hz=sample_rate_hz),
            "mel_spectral_db": metrics.mel_spectral_db(reference.audio, audio, sample_rate_hz=sample_rate_hz),
            "mfcc_db": metrics.mfcc_db(reference.audio, audio, sample_rate_hz=sample_rate_hz),
        }
        loudness = loudness_db(audio, sample_rate_hz=sample_rate_hz, frame_rate_hz=frame_rate_hz)
        values["loudness_db"] = metrics.loudness_error_db(reference.loudness_db, loudness)
        pitch = _f0_metrics(
            reference, audio, sample_rate_hz=sample_rate_hz, frame_rate_hz=frame_rate_hz, tracker=tracker
        )
    except TinyTimbreError as error:
        raise TinyTimbreError(
            error.rule, got=f"recording {reference.recording_id}: {error.got}", cause=error.cause, remedy=error.remedy
        ) from error
    return {**values, "f0_accuracy_points": pitch.accuracy_points, "f0_cents": pitch.median_cents}


def _f0_metrics(
    reference: TakeFeatures, audio: np.ndarray, *, sample_rate_hz: int, frame_rate_hz: float, tracker: str
) -> metrics.F0Metrics:
    """Tracks the rendering only where the answer matters."""
    from tinytimbre.features.pitch import track_pitch

    confident = is_played(reference.f0_confidence, reference.rms_energy_db)
    if not confident.any():
        return metrics.F0Metrics(float("nan"), float("nan"), 0)
    f0_hz, _ = track_pitch(audio, sample_rate_hz=sample_rate_hz, frame_rate_hz=frame_rate_hz, tracker=tracker)
    return metrics.f0_metrics(reference.f0_hz, f0_hz, confident=confident)
