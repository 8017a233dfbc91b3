"""How the evaluator plays a model: as a client does, room included."""

from __future__ import annotations

import json

import numpy as np
from scipy.signal import fftconvolve

from components.quality_evaluator.evaluation import HeldOut, render_and_measure
from tinytimbre.config import SearchConfig, SweepConfig
from tinytimbre.decoders import DecoderSpec
from tinytimbre.export.settings import BundleSettings, make_settings
from tinytimbre.features.examples import TakeFeatures
from tinytimbre.features.statistics import InstrumentStatistics, summarise
from tinytimbre.synthesis import Reverb
from tinytimbre.synthesis.reverb import impulse_response

RATE, HOP, FRAMES = 16_000, 320, 50


def settings(*, reverb: Reverb | None) -> BundleSettings:
    bands = len(reverb.levels) if reverb else 0
    spec = DecoderSpec(kind="gru", input="loudness", harmonics=4, noise_bands=5, width=2, reverb_bands=bands)
    curve = summarise(np.linspace(60, 70, 50))
    statistics = InstrumentStatistics(
        pitch_midi=curve, loudness_db=curve, rms_energy_db=curve, seconds=1, voiced_seconds=1, takes=1
    )
    config = SweepConfig(name="test", search=SearchConfig(space={}))
    return make_settings(
        config=config, decoder=spec, instrument="reed", trial_id="t", statistics=statistics, reverb=reverb
    )


def test_models_are_measured_in_their_room() -> None:
    room = Reverb(levels=(0.5, 0.5, 0.5), rt60_secs=(0.8, 0.6, 0.4))
    controls = np.tile(np.float32([0.3, 1.0, 0.5, 0.3, 0.1] + [1e-3] * 5), (FRAMES, 1))
    f0_hz = np.full(FRAMES, 220, np.float32)
    level_db = np.full(FRAMES, -20, np.float32)
    cycles = 220 * np.arange(FRAMES * HOP) / RATE
    recorded = (0.2 * np.sin(2 * np.pi * cycles)).astype(np.float32)
    features = TakeFeatures("r", "t", "reed", recorded, f0_hz, np.ones(FRAMES, np.float32), level_db, level_db)
    take = HeldOut(split="test", features=features, listen=True)
    results = [
        render_and_measure(take, controls=controls, settings=settings(reverb=reverb), tracker="pyin")
        for reverb in (None, room)
    ]
    (dry_row, dry), (row, wet) = results
    assert dry is not None
    assert wet is not None
    expected = fftconvolve(dry, impulse_response(room, sample_rate_hz=RATE))[: FRAMES * HOP]
    # float32 sound.
    np.testing.assert_allclose(wet, expected, atol=1e-6)
    assert json.dumps(row) != json.dumps(dry_row)
