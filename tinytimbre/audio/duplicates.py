"""Which recordings are one take: re-encoded, turned up or down, trimmed, or re-pitched by resampling.

    prints = {recording_id: fingerprint(audio, sample_rate_hz=16_000, f0_hz=median_f0)}
    takes = group_takes(prints, pairs=[(match.first, match.second) for match in find_matches(prints)])

Copies at the same pitch have the same waveform: normalised cross-correlation, and that is that. Re-pitched
copies need more. Two notes of one player share pitch, timbre, attack and decay; what they never share is the
fine random fluctuation of every partial. So a fingerprint is the log spectrogram minus its own trend over
0.4 s, in bands on a log-frequency axis, and two recordings are one take if these fluctuations correlate all
the way along, not only where both start or stop. Resampling scales time and frequency together; it is undone
by resampling every recording to one common pitch first (duration times f0 is constant across such copies).
The fluctuations also find the candidates whose waveforms are worth comparing.

Measured on 45 sitar and 15 shehnai notes that hold re-pitched takes (which ones nobody wrote down): 62 pairs
correlate by 0.61 and more and form 11 groups without a pair missing, the other 1,033 by 0.20 and less; 4,306
pairs of six other instruments by 0.45 and less (low saxophone notes; 0.26 elsewhere). The thresholds were set
on these recordings. Of made copies, re-pitched by 2 or -5 semitones, 7 % were missed.
Waveforms (at 4 kHz): MP3 and Vorbis copies 0.992 and more, different takes of one note 0.90 and less.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np
import scipy.fft
import soxr
from numpy.lib.stride_tricks import sliding_window_view
from scipy.ndimage import uniform_filter1d

FINGERPRINT_RATE_HZ = 16_000
COMMON_PITCH_HZ = 300.0
HOP = 256
WINDOW = 1024
N_BANDS = 24
BAND_RANGE_HZ = (120.0, 6000.0)
TREND_FRAMES = 25
FLOOR_DB = 70.0
CLIP = 3.0
FADE_DB = 45.0
PIECE_SECS = 30.0

MIN_OVERLAP_FRAMES = 25
MIN_OVERLAP_SHARE = 0.5
CANDIDATE_COSINE = 0.15
SAME_TAKE_CORRELATION = 0.48
SAME_WAVEFORM_CORRELATION = 0.96
WAVEFORM_RATE_HZ = 8_000
N_BLOCKS = 8


@dataclasses.dataclass(frozen=True)
class Piece:
    """Up to 30 s of a recording: fluctuations, float32 [bands, frames] with about unit variance, each clipped.

    ``waveform`` (float32 [n] at 8 kHz) is there where the pitch is the recording's own.
    """

    fluctuations: np.ndarray
    waveform: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class Fingerprint:
    """The recording as it is, in overlapping pieces, and its start resampled to the common pitch."""

    plain: tuple[Piece, ...]
    pitched: tuple[Piece, ...]


def fingerprint(audio: np.ndarray, *, sample_rate_hz: int, f0_hz: float) -> Fingerprint:
    """Makes the fingerprint of mono ``audio`` [n]; ``f0_hz`` is its median pitch, 0 if it has none."""
    if sample_rate_hz != FINGERPRINT_RATE_HZ:
        audio = soxr.resample(audio, sample_rate_hz, FINGERPRINT_RATE_HZ)
    audio = _without_fades(audio)
    size = round(PIECE_SECS * FINGERPRINT_RATE_HZ)
    starts = range(0, max(1, len(audio) - size // 2), size // 2)
    plain = tuple(_plain_piece(audio[start : start + size]) for start in starts)
    pitched: tuple[Piece, ...] = ()
    if f0_hz > 0:
        common = soxr.resample(audio[:size], FINGERPRINT_RATE_HZ, FINGERPRINT_RATE_HZ * f0_hz / COMMON_PITCH_HZ)
        pitched = (Piece(_fluctuations(common[: 2 * size])),)
    return Fingerprint(plain, pitched)


def _plain_piece(audio: np.ndarray) -> Piece:
    waveform = soxr.resample(audio, FINGERPRINT_RATE_HZ, WAVEFORM_RATE_HZ)
    return Piece(_fluctuations(audio), waveform.astype(np.float32))


def _without_fades(audio: np.ndarray) -> np.ndarray:
    """From the first to the last 10 ms within 45 dB of the loudest."""
    step = FINGERPRINT_RATE_HZ // 100
    power = np.square(audio[: len(audio) // step * step].reshape(-1, step).astype(np.float64)).mean(axis=1)
    loud = np.flatnonzero(power > np.max(power, initial=0.0) * 10 ** (-FADE_DB / 10))
    return audio[loud[0] * step : (loud[-1] + 1) * step] if len(loud) else audio


def _fluctuations(audio: np.ndarray) -> np.ndarray:
    """Log band energies minus their trend, each band scaled to unit variance: float32 [bands, frames]."""
    audio = np.pad(audio, (0, max(0, WINDOW - len(audio))))
    frames = sliding_window_view(audio, WINDOW)[::HOP] * np.hanning(WINDOW).astype(np.float32)
    power = np.square(np.abs(np.fft.rfft(frames, axis=1)))
    level_db = 10 * np.log10(power @ _bands().T + 1e-12)
    level_db = np.maximum(level_db, level_db.max() - FLOOR_DB)
    residual = level_db - uniform_filter1d(level_db, TREND_FRAMES, axis=0, mode="nearest")
    deviation = np.sqrt(np.mean(np.square(residual), axis=0))
    return np.clip(residual / (deviation + 0.3), -CLIP, CLIP).T.astype(np.float32)


def _bands() -> np.ndarray:
    """Bands of equal ratio that hold at least one bin: 0 or 1, [bands, bins]."""
    frequency = np.fft.rfftfreq(WINDOW, 1 / FINGERPRINT_RATE_HZ)
    edges = np.geomspace(*BAND_RANGE_HZ, N_BANDS + 1)
    inside = (frequency >= edges[:-1, None]) & (frequency < edges[1:, None])
    return inside[inside.any(axis=1)].astype(np.float64)


@dataclasses.dataclass(frozen=True)
class Match:
    """Two recordings of one take and how well they correlate."""

    first: str
    second: str
    correlation: float


def find_matches(fingerprints: dict[str, Fingerprint]) -> list[Match]:
    """Every pair of recordings that is one take, in the order of their ids."""
    best: dict[tuple[str, str], float] = {}
    for kind in ("plain", "pitched"):
        pieces = [(key, piece) for key in sorted(fingerprints) for piece in getattr(fingerprints[key], kind)]
        for first, second, correlation in _matching_pieces(pieces):
            best[first, second] = max(correlation, best.get((first, second), 0.0))
    return [Match(first, second, value) for (first, second), value in sorted(best.items())]


def _matching_pieces(pieces: list[tuple[str, Piece]]) -> Iterable[tuple[str, str, float]]:
    for i, j, lag in _candidates(pieces):
        correlation, threshold = _correlation(pieces[i][1], pieces[j][1], lag=lag)
        if correlation > threshold:
            yield pieces[j][0], pieces[i][0], correlation


def _candidates(pieces: list[tuple[str, Piece]]) -> Iterable[tuple[int, int, int]]:
    """Pairs ``(i, j, lag in frames)`` whose frames agree somewhere, by the mean cosine over all lags (an FFT each)."""
    if len(pieces) < 2:
        return
    lengths = np.array([piece.fluctuations.shape[1] for _, piece in pieces])
    size = 1 << int(2 * lengths.max() - 1).bit_length()
    spectra = [np.fft.rfft(_unit_frames(piece.fluctuations), size).astype(np.complex64) for _, piece in pieces]
    lags = (np.arange(size) + size // 2) % size - size // 2
    for i in range(1, len(pieces)):
        for j in range(i):
            if pieces[i][0] == pieces[j][0]:
                continue
            cross = np.einsum("bf,bf->f", spectra[i], np.conj(spectra[j]))
            overlaps = np.minimum(lengths[i], lengths[j] + lags) - np.maximum(lags, 0)
            enough = max(MIN_OVERLAP_FRAMES, MIN_OVERLAP_SHARE * min(lengths[i], lengths[j]))
            cosine = np.where(overlaps >= enough, np.fft.irfft(cross, size) / np.maximum(overlaps, 1), -1.0)
            if cosine.max() > CANDIDATE_COSINE:
                yield i, j, int(lags[cosine.argmax()])


def _correlation(first: Piece, second: Piece, *, lag: int) -> tuple[float, float]:
    """The decisive correlation of two candidates, and what it must exceed."""
    if first.waveform is not None and second.waveform is not None:
        samples = round(lag * HOP * WAVEFORM_RATE_HZ / FINGERPRINT_RATE_HZ)
        return waveform_correlation(first.waveform, second.waveform, lag=samples), SAME_WAVEFORM_CORRELATION
    return block_correlation(first.fluctuations, second.fluctuations, lag=lag), SAME_TAKE_CORRELATION


def waveform_correlation(first: np.ndarray, second: np.ndarray, *, lag: int) -> float:
    """Largest normalised cross-correlation within two frames around ``lag`` samples; either polarity counts."""
    first, second = first[max(lag, 0) :], second[max(-lag, 0) :]
    length = min(len(first), len(second))
    first, second = first[:length], second[:length]
    reach = 2 * HOP
    size = scipy.fft.next_fast_len(length + reach, real=True)
    cross = scipy.fft.irfft(scipy.fft.rfft(first, size) * np.conj(scipy.fft.rfft(second, size)), size)
    near = np.concatenate([cross[: reach + 1], cross[-reach:]])
    energy = np.sqrt(np.sum(np.square(first, dtype=np.float64)) * np.sum(np.square(second, dtype=np.float64)))
    return float(np.max(np.abs(near)) / (energy + 1e-9))


def _unit_frames(piece: np.ndarray) -> np.ndarray:
    """Every frame scaled towards length 1, so that a loud attack weighs no more than any other moment."""
    return piece / (np.linalg.norm(piece, axis=0, keepdims=True) + 0.5)


def block_correlation(first: np.ndarray, second: np.ndarray, *, lag: int) -> float:
    """Median correlation over eight equal stretches of time: one shared event, as a release, does not count.

    Args:
        first, second: [bands, frames]; frame ``t + lag`` of ``first`` is compared with ``t`` of ``second``.
    """
    first, second = first[:, max(lag, 0) :], second[:, max(-lag, 0) :]
    length = min(first.shape[1], second.shape[1])
    bounds = np.linspace(0, length, N_BLOCKS + 1).astype(int)[:-1]
    products = [
        np.add.reduceat(np.sum(a[:, :length] * b[:, :length], axis=0), bounds)
        for a, b in ((first, second), (first, first), (second, second))
    ]
    return float(np.median(products[0] / np.sqrt(products[1] * products[2] + 1e-9)))


def group_takes(ids: Iterable[str], *, pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Take of each recording: the smallest id of all that are connected by pairs."""
    take = {recording_id: recording_id for recording_id in ids}

    def smallest(recording_id: str) -> str:
        while take[recording_id] != recording_id:
            recording_id = take[recording_id]
        return recording_id

    for first, second in pairs:
        low, high = sorted((smallest(first), smallest(second)))
        take[high] = low
    return {recording_id: smallest(recording_id) for recording_id in take}
