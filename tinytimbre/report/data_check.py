"""What there is to learn from: recordings with what was found about them, and pictures of their features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from tinytimbre.audio.recording import RecordingSet
from tinytimbre.features.examples import TakeFeatures
from tinytimbre.features.scaling import hz_to_midi
from tinytimbre.features.statistics import is_played

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SPLIT_COLOURS = {"train": "#7a858f", "validation": "#2563a8", "test": "#c2571a"}
SPECTRUM_SIZE = 1024
OUTLINE: dict[str, Any] = {"histtype": "step", "linewidth": 1.4}


def recordings_table(recordings: RecordingSet) -> pd.DataFrame:
    """A row per file: instrument, take, split ("left out" where rejected), seconds, source rate, licence, findings."""
    accepted = {recording.recording_id for recording in recordings.accepted()}
    rows = [
        {
            "path": recording.path,
            "instrument": recording.instrument,
            "take_id": recording.take_id,
            "split": recording.split if recording.recording_id in accepted else "left out",
            "seconds": recording.seconds,
            "source rate, Hz": recording.sample_rate_hz,
            "licence": recording.licence,
            "findings": "; ".join(found.kind for found in recording.problems),
        }
        for recording in recordings.recordings
    ]
    return pd.DataFrame(rows)


def split_table(recordings: RecordingSet) -> pd.DataFrame:
    """Takes, files and seconds per instrument and split."""
    table = recordings_table(recordings)
    grouped = table.groupby(["instrument", "split"], observed=True)
    return grouped.agg(takes=("take_id", "nunique"), files=("path", "size"), seconds=("seconds", "sum")).reset_index()


def take_figure(take: TakeFeatures, *, sample_rate_hz: int) -> Figure:
    """Spectrogram with the pitch drawn into it (pale where it does not count), and both levels below."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.4, 4.4), layout="constrained", facecolor="white")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    seconds = np.arange(take.n_frames) * take.hop / sample_rate_hz
    played = is_played(take.f0_confidence, take.rms_energy_db)
    padded = np.pad(take.audio, (0, max(0, SPECTRUM_SIZE - len(take.audio))))
    overlap = SPECTRUM_SIZE * 3 // 4
    upper.specgram(padded + 1e-9, SPECTRUM_SIZE, Fs=sample_rate_hz, noverlap=overlap, cmap="Greys", vmin=-140)
    upper.plot(seconds, take.f0_hz, color="#c2571a", alpha=0.25, linewidth=1)
    upper.plot(
        seconds, np.where(played, take.f0_hz, np.nan), color="#c2571a", linewidth=1.6, label="pitch, where it counts"
    )
    upper.set_ylim(0, min(sample_rate_hz / 2, 8 * float(np.median(take.f0_hz)) + 500))
    upper.set_ylabel("Hz", fontsize=9)
    upper.legend(frameon=False, fontsize=8.5, loc="upper right")
    upper.set_title(
        f"{take.instrument.replace('$', '')} {take.recording_id}", loc="left", fontsize=10, fontweight="bold"
    )
    lower.plot(seconds, take.loudness_db, color="#2563a8", linewidth=1.2, label="loudness, A-weighted")
    lower.plot(seconds, take.rms_energy_db, color="#7a858f", linewidth=1.2, label="RMS energy")
    lower.set_ylabel("dB", fontsize=9)
    lower.set_xlabel("seconds", fontsize=9)
    lower.legend(frameon=False, fontsize=8.5, ncols=2)
    return figure


def coverage_figure(takes: Mapping[str, Sequence[TakeFeatures]], *, instrument: str) -> Figure:
    """How pitch and loudness are spread in each split: test takes outside of the training's range show here."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.4, 2.8), layout="constrained", facecolor="white")
    axes = figure.subplots(1, 2)
    for split, own in takes.items():
        values = [_played_values(take) for take in own]
        midi, level = np.concatenate([np.zeros((2, 0)), *values], axis=1)
        for panel, numbers, bins in ((axes[0], midi, np.arange(20, 120)), (axes[1], level, np.arange(-80, 25, 2))):
            if len(numbers):
                weights = np.full(len(numbers), 100 / len(numbers))
                panel.hist(numbers, bins, weights=weights, color=SPLIT_COLOURS.get(split), label=split, **OUTLINE)
    for panel, name in zip(axes, ("pitch, MIDI note", "loudness, dB"), strict=True):
        panel.set_xlabel(name, fontsize=9)
        panel.set_ylabel("% of played frames", fontsize=9)
        panel.autoscale(axis="x", tight=True)
        panel.spines[["top", "right"]].set_visible(False)
    axes[1].legend(frameon=False, fontsize=8.5)
    figure.suptitle(instrument.replace("$", ""), x=0.01, ha="left", fontsize=11, fontweight="bold")
    return figure


def _played_values(take: TakeFeatures) -> np.ndarray:
    """Float [2, played frames]: MIDI note and loudness."""
    played = is_played(take.f0_confidence, take.rms_energy_db)
    return np.stack([hz_to_midi(take.f0_hz), take.loudness_db])[:, played]
