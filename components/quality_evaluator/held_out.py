"""Which takes the models are measured on."""

from __future__ import annotations

import logging
import pathlib
from collections.abc import Sequence

from components.quality_evaluator.evaluation import HeldOut
from tinytimbre.config import SweepConfig
from tinytimbre.errors import TinyTimbreError
from tinytimbre.features.examples import TakeFeatures, read_features
from tinytimbre.quality.evaluate import evaluate_take

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
