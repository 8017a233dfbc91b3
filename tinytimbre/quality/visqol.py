"""ViSQOL in audio mode: what a listening panel might say, from 1 (bad) to about 4.7 (the same). Secondary.

It is reported beside the models to listen to and decides nothing: it hardly hears hum and glitches, and gives a
filtered sawtooth the grade of a good model.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

from tinytimbre.errors import TinyTimbreError
from tinytimbre.quality.metrics import checked_sounds

if TYPE_CHECKING:
    from visqol import VisqolApi

SAMPLE_RATE_HZ = 48_000  # the only one its audio mode was trained for
MIN_SECS = 1.0


def visqol_mos(reference: np.ndarray, audio: np.ndarray, *, sample_rate_hz: int) -> float:
    """Predicted mean opinion score (MOS-LQO), higher is better; about 4.73 for identical sounds.

    Both are resampled to 48 kHz. It aligns the two in time by itself, so a constant delay costs little.

    Source: Chinen et al., *ViSQOL v3*, QoMEX 2020; computed by ``visqol-python``.

    Args:
        reference: float [n] in [-1, 1], at least one second.
        audio: as ``reference``, of the same length.
        sample_rate_hz: of both.

    Raises:
        TinyTimbreError: silent, shorter than a second, NaN or of unequal lengths.
    """
    import soxr

    reference, audio = checked_sounds(reference, audio, sample_rate_hz=sample_rate_hz)
    if len(reference) < MIN_SECS * sample_rate_hz:
        raise TinyTimbreError(
            f"ViSQOL needs at least {MIN_SECS:g} s of sound", got=f"{len(reference) / sample_rate_hz:.2f} s"
        )
    sounds = (soxr.resample(sound.astype(np.float64), sample_rate_hz, SAMPLE_RATE_HZ) for sound in (reference, audio))
    return float(_judge().measure_from_arrays(*sounds, SAMPLE_RATE_HZ).moslqo)


@functools.cache
def _judge() -> VisqolApi:
    from visqol import VisqolApi

    api = VisqolApi()
    api.create(mode="audio")
    return api
