"""Levels for clients that measure RMS energy where a model may have been trained on A-weighted loudness."""

from __future__ import annotations

from tinytimbre.export.settings import BundleSettings

LEAST_SPREAD_DB = 1e-3


def level_from_energy(settings: BundleSettings) -> tuple[float, float]:
    """Gain and offset from RMS energy in dB to the level that the decoder was trained with.

    For a model of RMS energy nothing changes. A-weighted loudness also depends on the spectrum; the map takes mean and
    spread of the instrument's recordings on the one scale to those on the other.
    """
    energy, loudness = settings.statistics.rms_energy_db, settings.statistics.loudness_db
    if settings.input == "rms_energy":
        return 1.0, 0.0
    gain = max(loudness.std, LEAST_SPREAD_DB) / max(energy.std, LEAST_SPREAD_DB)
    return gain, loudness.mean - gain * energy.mean


def loudest_db(settings: BundleSettings) -> float:
    """The highest level that the decoder was trained with."""
    statistics = settings.statistics
    return (statistics.loudness_db if settings.input == "loudness" else statistics.rms_energy_db).max
