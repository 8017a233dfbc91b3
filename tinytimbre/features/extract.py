"""From the audio of one recording to its features."""

from __future__ import annotations

import numpy as np

from tinytimbre.config import FeatureConfig
from tinytimbre.features.examples import TakeFeatures
from tinytimbre.features.frames import checked_audio, hop_samples, whole_frames
from tinytimbre.features.loudness import loudness_db, rms_energy_db
from tinytimbre.features.pitch import track_pitch


def extract_features(
    audio: np.ndarray,
    *,
    recording_id: str,
    take_id: str,
    instrument: str,
    sample_rate_hz: int,
    config: FeatureConfig,
) -> TakeFeatures:
    """Pitch, confidence, loudness and RMS energy of one recording at the configured frame rate.

    Args:
        audio: float [n], mono, in [-1, 1]; padded with less than one hop of zeros to whole frames.
        recording_id: which recording it is.
        take_id: which group of near-duplicates it belongs to.
        instrument: what plays.
        sample_rate_hz: of ``audio``.
        config: frame rate and pitch tracker.

    Raises:
        TinyTimbreError: audio that is not mono or not finite, an unknown tracker, rates that do not divide.
    """
    rate = config.frame_rate_hz
    hop = hop_samples(sample_rate_hz=sample_rate_hz, frame_rate_hz=rate)
    audio = np.clip(whole_frames(checked_audio(audio), hop=hop), -1.0, 1.0)
    f0_hz, confidence = track_pitch(audio, sample_rate_hz=sample_rate_hz, frame_rate_hz=rate, tracker=config.f0_tracker)
    return TakeFeatures(
        recording_id=recording_id,
        take_id=take_id,
        instrument=instrument,
        audio=audio,
        f0_hz=f0_hz,
        f0_confidence=confidence,
        loudness_db=loudness_db(audio, sample_rate_hz=sample_rate_hz, frame_rate_hz=rate),
        rms_energy_db=rms_energy_db(audio, sample_rate_hz=sample_rate_hz, frame_rate_hz=rate),
    )
