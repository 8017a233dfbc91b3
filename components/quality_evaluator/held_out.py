"""Which takes the models are measured on."""

from __future__ import annotations

import logging
import pathlib
from collections.abc import Sequence

from components.quality_evaluator.evaluation import Evaluation, HeldOut, clip_row
from tinytimbre.config import SweepConfig
from tinytimbre.errors import TinyTimbreError
from tinytimbre.features.artifact import load_statistics
from tinytimbre.features.examples import TakeFeatures, iter_features, read_features
from tinytimbre.quality.baseline import filtered_sawtooth, spectral_envelope
from tinytimbre.quality.evaluate import evaluate_take
from tinytimbre.quality.sanity import Probe, take_probes, voice_probe

LISTENED_TAKES = 4
LOGGER = logging.getLogger("tinytimbre.evaluation")


def held_out(features_dir: pathlib.Path, *, instrument: str, config: SweepConfig) -> list[HeldOut]:
    """Validation and test takes of an instrument that can be measured; the others are named in the log."""
    usable = {
        split: [
            take
            for take in read_features(features_dir, split=split, instrument=instrument)
            if _measurable(take, config=config)
        ]
        for split in ("validation", "test")
    }
    listened = listening_choice(usable["test"])
    return [
        HeldOut(split, take, listen=split == "test" and take.recording_id in listened)
        for split, takes in usable.items()
        for take in takes
    ]


def listening_choice(takes: Sequence[TakeFeatures]) -> list[str]:
    """Recordings to listen to: the first of each take, at most `LISTENED_TAKES`."""
    first: dict[str, str] = {}
    for take in takes:
        first.setdefault(take.take_id, take.recording_id)
    return list(first.values())[:LISTENED_TAKES]


def sanity_probes(
    features_dir: pathlib.Path, *, takes: Sequence[HeldOut], instrument: str, config: SweepConfig
) -> list[Probe]:
    """Validation takes and a voice, as timbre transfer would play them on the instrument.

    At frame rates too low to follow a voice there is none; the log says so.
    """
    frame_rate = config.features.frame_rate_hz
    validation = [take.features for take in takes if take.split == "validation"]
    probes = take_probes(validation, frame_rate_hz=frame_rate)
    try:
        voice = voice_probe(
            load_statistics(features_dir)[instrument],
            sample_rate_hz=config.audio.sample_rate_hz,
            frame_rate_hz=frame_rate,
            tracker=config.features.f0_tracker,
        )
    except TinyTimbreError as error:
        LOGGER.warning("%s is not tried with a voice: %s", instrument, error)
        return probes
    return [*probes, voice]


def measure_baseline(
    features_dir: pathlib.Path, *, takes: Sequence[HeldOut], instrument: str, config: SweepConfig
) -> Evaluation:
    """The filtered sawtooth on the same takes as the models; where there is none, no clips, and the reason."""
    rate = config.audio.sample_rate_hz
    try:
        envelope = spectral_envelope(
            iter_features(features_dir, split="train", instrument=instrument), sample_rate_hz=rate
        )
        clips = [
            clip_row(
                take,
                filtered_sawtooth(take.features, envelope, sample_rate_hz=rate),
                sample_rate_hz=rate,
                frame_rate_hz=config.features.frame_rate_hz,
                tracker=config.features.f0_tracker,
            )
            for take in takes
        ]
    except TinyTimbreError as error:
        LOGGER.warning("%s has no baseline: %s", instrument, error)
        return Evaluation([], 0.0, reason=str(error))
    return Evaluation(clips, 0.0)


def _measurable(take: TakeFeatures, *, config: SweepConfig) -> bool:
    """Whether a perfect model could be measured on it; if not, no model's failure says anything."""
    try:
        evaluate_take(
            take,
            take.audio,
            sample_rate_hz=config.audio.sample_rate_hz,
            frame_rate_hz=config.features.frame_rate_hz,
            tracker=config.features.f0_tracker,
        )
    except TinyTimbreError as error:
        LOGGER.warning("%s %s is not measured: %s", take.instrument, take.recording_id, error)
        return False
    return True
