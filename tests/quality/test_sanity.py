"""The measures on players of known behaviour: one that does as it is told, and one for each way to collapse."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tinytimbre.errors import TinyTimbreError
from tinytimbre.features.examples import TakeFeatures
from tinytimbre.features.loudness import loudness_db, rms_energy_db
from tinytimbre.features.pitch import track_pitch
from tinytimbre.features.statistics import InstrumentStatistics, summarise
from tinytimbre.quality.sanity import MOVES, PROBE_SECS, Probe, measure_sanity, take_probes, voice_probe
from tinytimbre.quality.verdict import SANITY
from tinytimbre.synthesis.oscillators import accumulate_cycles, upsample_f0

RATE, HOP = 16_000, 320
RATES = {"sample_rate_hz": RATE, "frame_rate_hz": 50.0}
Player = Callable[[Probe], np.ndarray]


def tone(f0_hz: np.ndarray, rms_db: np.ndarray) -> np.ndarray:
    """Six harmonics at the pitch and RMS asked for."""
    phase = 2 * np.pi * accumulate_cycles(upsample_f0(f0_hz, hop=HOP), sample_rate_hz=RATE)
    sound = sum(np.sin(k * phase) / k for k in range(1, 7) if k * f0_hz.max() < RATE / 2)
    level = np.interp(np.arange(len(sound)), np.arange(len(rms_db)) * HOP, 10 ** (rms_db / 20))
    return (sound / np.sqrt(np.mean(np.square(sound))) * level).astype(np.float32)


def take(hz: float, *, seconds: float = 6.0) -> TakeFeatures:
    """Silence for a third, then a tone that swells."""
    frames = round(seconds * 50)
    level = np.where(np.arange(frames) < frames // 3, -90, -25 + 5 * np.sin(np.arange(frames) / 20))
    audio = tone(np.full(frames, hz), level)
    f0_hz, confidence = track_pitch(audio, **RATES)
    return TakeFeatures(
        "r", "t", "flute", audio, f0_hz, confidence, loudness_db(audio, **RATES), rms_energy_db(audio, **RATES)
    )


@pytest.fixture(scope="module")
def probes() -> list[Probe]:
    levels = summarise(np.random.default_rng(0).normal(-20, 4, 500))
    statistics = InstrumentStatistics(
        pitch_midi=summarise(np.linspace(60, 84, 100)),
        loudness_db=levels,
        rms_energy_db=levels,
        seconds=10,
        voiced_seconds=10,
        takes=2,
    )
    return [
        *take_probes([take(330), take(440)], frame_rate_hz=50),
        voice_probe(statistics, **RATES, tracker="swift_f0"),
    ]


def obedient(probe: Probe) -> np.ndarray:
    """On the voice, where only loudness is asked for, what has that loudness."""
    sound = tone(probe.f0_hz, probe.rms_energy_db)
    if probe.change != "voice":
        return sound
    gain_db = probe.loudness_db - loudness_db(sound, **RATES)
    return (sound * np.interp(np.arange(len(sound)), np.arange(len(gain_db)) * HOP, 10 ** (gain_db / 20))).astype(
        np.float32
    )


def measured(probes: list[Probe], player: Player) -> dict[str, float]:
    return measure_sanity(probes, [player(probe) for probe in probes], **RATES, tracker="swift_f0")


def moved(probe: Probe, *, cents: float = 0.0, level_db: float = 0.0) -> np.ndarray:
    return tone((probe.f0_hz * 2 ** (cents / 1200)).astype(np.float32), probe.rms_energy_db + level_db)


COLLAPSES: dict[str, tuple[Player, str]] = {
    "stays on its pitch an octave up": (
        lambda p: moved(p, cents=-1200 if p.change == "octave up" else 0), "octave_f0_missed_points",
    ),
    "is silent an octave down": (
        lambda p: moved(p, level_db=-60 if p.change == "octave down" else 0), "octave_level_db",
    ),
    "bursts an octave up": (lambda p: moved(p, level_db=25 if p.change == "octave up" else 0), "octave_level_db"),
    "gets softer when told louder": (lambda p: moved(p, level_db=-9 if p.change == "louder" else 0), "level_step_db"),
    "does not get softer": (lambda p: moved(p, level_db=6.5 if p.change == "softer" else 0), "level_step_db"),
    "is off the voice's tune": (
        lambda p: moved(p, cents=300 if p.change == "voice" else 0), "voice_f0_missed_points",
    ),
    "drowns the voice in noise": (
        lambda p: obedient(p) if p.change != "voice" else
        0.3 * np.random.default_rng(0).standard_normal(len(p.f0_hz) * HOP).astype(np.float32), "voice_f0_missed_points",
    ),
    "is silent for a voice": (lambda p: moved(p, level_db=-90 if p.change == "voice" else 0), "voice_level_db"),
}  # fmt: skip
LIMITS = {
    "octave_f0_missed_points": 50, "octave_level_db": 20, "level_step_db": 6, "voice_f0_missed_points": 50,
    "voice_level_db": 12,
}  # fmt: skip


def test_who_does_as_told_has_nothing_to_fear(probes: list[Probe]) -> None:
    found = measured(probes, obedient)
    assert set(found) == set(SANITY)
    assert found["octave_f0_missed_points"] < 5
    assert found["octave_level_db"] < 1  # harmonics beyond half the sample rate are missing in one of them
    assert found["level_step_db"] < 0.1
    assert found["voice_f0_missed_points"] < 15  # the tracker hesitates where notes change
    assert found["voice_level_db"] < 3


@pytest.mark.parametrize("way", COLLAPSES)
def test_every_collapse_is_seen(probes: list[Probe], way: str) -> None:
    player, measure = COLLAPSES[way]
    assert measured(probes, player)[measure] > LIMITS[measure]


def test_probes_are_the_busiest_seconds_of_two_takes(probes: list[Probe]) -> None:
    assert [probe.change for probe in probes] == [*MOVES, *MOVES, "voice"]
    for probe in probes[:-1]:
        assert len(probe.f0_hz) == PROBE_SECS * 50
        assert probe.played.mean() > 0.95  # the silent third is left out
    np.testing.assert_allclose(probes[1].f0_hz, 2 * probes[0].f0_hz)
    np.testing.assert_allclose(probes[3].loudness_db, probes[0].loudness_db + 6, atol=1e-5)
    assert probes[0].inputs("loudness").shape == (125, 2)
    assert not np.array_equal(probes[0].inputs("loudness"), probes[0].inputs("rms_energy"))


def test_what_no_tracker_can_follow_is_left_out() -> None:
    high = take_probes([take(1_800.0)], frame_rate_hz=50)
    assert high[1].pitched.sum() == 0
    assert measured(high, obedient)["octave_f0_missed_points"] < 5  # an octave down is left
    assert "voice_level_db" not in measured(high, obedient)


def test_short_and_silent_takes() -> None:
    assert take_probes([], frame_rate_hz=50) == []
    assert len(take_probes([take(330, seconds=1.0)], frame_rate_hz=50)[0].f0_hz) == 50
    assert measure_sanity([], [], **RATES, tracker="swift_f0") == {}


def test_a_rendering_that_is_no_number_is_named(probes: list[Probe]) -> None:
    with pytest.raises(TinyTimbreError, match="finite"):
        measured(probes, lambda probe: np.full(len(probe.f0_hz) * HOP, np.nan, np.float32))
