from __future__ import annotations

import numpy as np
import pytest

from tinytimbre.errors import TinyTimbreError
from tinytimbre.features.scaling import hz_to_midi, midi_to_hz
from tinytimbre.features.statistics import InstrumentStatistics, summarise
from tinytimbre.transfer import plan as planning
from tinytimbre.transfer.analysis import SourceFeatures
from tinytimbre.transfer.plan import TransferPlan, plan_transfer

RATE = 50


def instrument(low: float = 55, high: float = 90, *, level: tuple[float, float] = (-20, 4)) -> InstrumentStatistics:
    levels = summarise(np.random.default_rng(0).normal(*level, 1000))
    return InstrumentStatistics(
        pitch_midi=summarise(np.linspace(low, high, 500)),
        loudness_db=levels,
        rms_energy_db=levels,
        seconds=10,
        voiced_seconds=10,
        takes=1,
    )


def source(midi: list[float], *, confidence: list[float] | None = None, level: list[float] | None = None):
    frames = len(midi)
    level_db = np.array(level or [-25.0] * frames, np.float32)
    return SourceFeatures(
        f0_hz=midi_to_hz(np.array(midi)).astype(np.float32),
        f0_confidence=np.array(confidence or [0.95] * frames, np.float32),
        level_db=level_db,
        rms_energy_db=level_db,
        n_samples=frames * 320,
    )


def plan(features: SourceFeatures, statistics: InstrumentStatistics | None = None) -> TransferPlan:
    return plan_transfer(features, statistics=statistics or instrument(), input_kind="loudness", frame_rate_hz=RATE)


@pytest.mark.parametrize(
    ("midi", "octaves"), [([60] * 50, 0), ([40] * 50, 2), ([100] * 50, -1), ([56, 58, 60, 62] * 20, 0)]
)
def test_whole_octaves_into_range(midi: list[float], octaves: int) -> None:
    made = plan(source(midi))
    assert made.octave_shift == octaves
    np.testing.assert_allclose(hz_to_midi(made.f0_hz), np.array(midi) + 12 * octaves, atol=1e-3)


def test_a_few_low_notes_do_not_move_the_melody() -> None:
    made = plan(source([70.0] * 190 + [48.0] * 10))
    assert made.octave_shift == 0
    assert made.folded_share == pytest.approx(0.05)
    # 48 lies more than a fifth below p05 (56.75), so these notes, and only these, go up an octave.
    np.testing.assert_allclose(hz_to_midi(made.f0_hz[-10:]), 60, atol=1e-3)


def test_a_narrow_instrument_still_gets_every_note() -> None:
    """The bansuri case: no octave of range."""
    statistics = instrument(64, 70)
    made = plan(source(list(np.repeat(np.arange(40.0, 76.0), 20))), statistics)
    low, high = planning.playable_range(statistics.pitch_midi)
    assert high - low >= 12
    midi = hz_to_midi(made.f0_hz)
    assert midi.min() >= low - 0.01
    assert midi.max() <= high + 0.01


def test_vibrato_across_the_border_stays_whole() -> None:
    vibrato = 95.2 + 0.5 * np.sin(2 * np.pi * 5 * np.arange(100) / RATE)
    made = plan(source(list(vibrato)))
    assert np.abs(np.diff(hz_to_midi(made.f0_hz))).max() < 0.5


def test_level_takes_mean_and_spread_of_the_instrument() -> None:
    rng = np.random.default_rng(1)
    made = plan(source([60.0] * 2000, level=list(rng.normal(-35, 6, 2000))), instrument(level=(-20, 4)))
    # The tail above the instrument's loudest and below the source's p05 is treated apart: a few tenths of a dB.
    assert made.level_db.mean() == pytest.approx(-20, abs=0.5)
    assert made.level_db.std() == pytest.approx(4, abs=0.6)
    assert made.level_shift_db == pytest.approx(15, abs=0.5)


def test_noise_floor_stays_down() -> None:
    rng = np.random.default_rng(2)
    level = np.concatenate([rng.normal(-25, 8, 500), np.full(500, -58.0)])
    confidence = [0.95] * 500 + [0.1] * 500
    made = plan(source([60.0] * 1000, level=list(level), confidence=confidence), instrument(level=(-20, 2)))
    assert made.gain[520:].max() == 0
    before, after = np.median(level[:500]) - level[500:], np.median(made.level_db[:500]) - made.level_db[500:]
    # Between median and p05 the spread may shrink by the ratio (2/8, bounded to 1/2) times 1.64 sigma of 8 dB.
    assert (after > before - 0.5 * 1.7 * 8).all()


def test_gaps_are_held_and_faded() -> None:
    confidence = [0.1] * 20 + [0.95] * 30 + [0.1] * 40 + [0.95] * 30
    midi = [30.0] * 20 + [60.0] * 30 + [85.0] * 40 + [67.0] * 30
    made = plan(source(midi, confidence=confidence))
    np.testing.assert_allclose(hz_to_midi(made.f0_hz), [60.0] * 90 + [67.0] * 30, atol=1e-3)
    np.testing.assert_array_equal(made.gain[20:50], 1)
    np.testing.assert_array_equal(made.gain[90:], 1)
    assert made.gain[:10].max() == 0
    assert made.gain[65:80].max() == 0
    assert np.abs(np.diff(made.gain)).max() < 0.5  # a ramp of several frames, not a switch
    assert made.voiced_share == pytest.approx(0.5)


def test_bursts_shorter_than_a_tone_stay_silent() -> None:
    confidence = [0.95] * 50 + [0.1] * 50
    confidence[75] = 0.7
    assert plan(source([60.0] * 100, confidence=confidence)).gain[70:80].max() == 0


def test_constant_level_is_no_division_by_zero() -> None:
    made = plan(source([60.0] * 50))
    assert np.isfinite(made.level_db).all()
    assert made.level_db.mean() == pytest.approx(-20, abs=0.5)


@pytest.mark.parametrize(
    ("features", "words"),
    [
        (source([60.0] * 50, level=[-80.0] * 50), "audible"),
        (source([]), "audible"),
        (source([60.0] * 50, confidence=[0.1] * 50), "melody"),
    ],
)
def test_nothing_to_follow_is_said(features: SourceFeatures, words: str) -> None:
    with pytest.raises(TinyTimbreError, match=words):
        plan(features)
