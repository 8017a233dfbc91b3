"""How far one sound is from another: pure functions, lower is better unless said otherwise.

All compare a reference with a rendering of the same length, sample by sample in time. Nothing here is
invariant to level or delay: a DDSP model is given loudness and pitch on a grid and has to hit both.
"""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import scipy.fft

from tinytimbre.errors import TinyTimbreError

FFT_SIZES = (2048, 1024, 512, 256, 128, 64)
FLOOR_DB = -60.0
SILENT_PEAK = 10 ** (-80 / 20)
MEL_BANDS = 80
MEL_FFT_SIZE = 1024
MEL_MIN_HZ = 30.0
MFCC_COUNT = 12
MIN_SAMPLES = max(FFT_SIZES)
MIN_FRAMES = 2
PITCH_TOLERANCE_CENTS = 50.0


@dataclasses.dataclass(frozen=True)
class F0Metrics:
    """Agreement of pitch on the frames that are confident in the reference.

    Attributes:
        accuracy_points: raw pitch accuracy at 50 cents, 0..100, higher is better; NaN without frames.
        median_cents: median absolute error; NaN without frames.
        n_frames: frames compared.
    """

    accuracy_points: float
    median_cents: float
    n_frames: int


def log_spectral_db(reference: np.ndarray, audio: np.ndarray, *, sample_rate_hz: int) -> float:
    """Multi-scale log spectral distance, the log part of DDSP's spectral loss with a floor.

    For each FFT size n of 2048 .. 64: magnitudes of the short-time spectrum (periodic Hann window of n, hop n/4,
    centred frames, zeros beyond the ends), in dB, both raised to a floor 60 dB below the largest magnitude that
    *the reference* has at this scale; mean absolute difference over bins and frames. The result is the mean over the
    scales. The floor keeps inaudible high frequencies from dominating.

    Source: Engel et al., *DDSP*, ICLR 2020, section 4.2.1 (spectral loss, without its linear term).

    Args:
        reference: float [n] in [-1, 1], n >= 2048.
        audio: as ``reference``, of the same length.
        sample_rate_hz: only names the sounds in errors; the metric works in samples.

    Raises:
        TinyTimbreError: silent, shorter than one 2048 frame, NaN or of unequal lengths.
    """
    reference, audio = checked_sounds(reference, audio, sample_rate_hz=sample_rate_hz)
    return float(np.mean([_log_distance_db(reference, audio, fft_size=size) for size in FFT_SIZES]))


def mel_spectral_db(reference: np.ndarray, audio: np.ndarray, *, sample_rate_hz: int) -> float:
    """Log spectral distance on mel bands.

    80 mel bands (Slaney's scale and area normalisation, 30 Hz to half the sample rate) of the power spectrum
    (periodic Hann 1024, hop 256, centred), in dB, floored 60 dB below the reference's largest band; root mean
    square difference over the bands, mean over the frames.

    Source: the distance of Gray & Markel, IEEE ASSP 24:5, 1976, eq. 5 (there: over frequency); mel bands as
    ``librosa.feature.melspectrogram``.

    Args and Raises: as `log_spectral_db`.
    """
    reference, audio = checked_sounds(reference, audio, sample_rate_hz=sample_rate_hz)
    difference = _mel_difference_db(reference, audio, sample_rate_hz=sample_rate_hz)
    return float(np.mean(np.sqrt(np.mean(difference**2, axis=1))))


def mfcc_db(reference: np.ndarray, audio: np.ndarray, *, sample_rate_hz: int) -> float:
    """Distance of mel-frequency cepstra: how far the coarse shape of the spectrum is off, whatever the level.

    The floored mel spectra of `mel_spectral_db` go through an orthonormal cosine transform over the bands. Of its
    coefficients the first, the mean level, is left out, the next 12 are kept: per frame their Euclidean distance over
    the square root of the number of bands, then the mean over the frames. In this scale it is the part of the mel
    spectral distance that lies in the envelope, in dB. A diagnostic: no gate asks for it.

    Source: mel-cepstral distortion, Kubichek, IEEE PACRIM 1993 (there with another constant); coefficients as
    ``librosa.feature.mfcc``.

    Args and Raises: as `log_spectral_db`.
    """
    reference, audio = checked_sounds(reference, audio, sample_rate_hz=sample_rate_hz)
    difference = _mel_difference_db(reference, audio, sample_rate_hz=sample_rate_hz)
    cepstrum = scipy.fft.dct(difference, axis=1, norm="ortho")[:, 1 : 1 + MFCC_COUNT]
    return float(np.mean(np.linalg.norm(cepstrum, axis=1)) / np.sqrt(MEL_BANDS))


def loudness_error_db(reference_db: np.ndarray, audio_db: np.ndarray) -> float:
    """Mean absolute difference of two A-weighted loudness curves in dB, from 60 dB below the reference's maximum up.

    Source: "loudness L1" of Engel et al., *DDSP*, ICLR 2020, section 5.1, which has no floor; the curves as
    `tinytimbre.features.loudness.loudness_db` gives them. The floor is that of the spectral measures: how far the
    silence after a note lies below the noise of a recording says nothing about the instrument, and would outweigh it.

    Args:
        reference_db: float [T], T >= 2.
        audio_db: as ``reference_db``.

    Raises:
        TinyTimbreError: fewer than two frames, NaN or unequal lengths.
    """
    reference_db, audio_db = _checked_curves(reference_db, audio_db, what="loudness curves")
    floor_db = reference_db.max() + FLOOR_DB
    return float(np.mean(np.abs(np.maximum(reference_db, floor_db) - np.maximum(audio_db, floor_db))))


def f0_metrics(reference_f0_hz: np.ndarray, f0_hz: np.ndarray, *, confident: np.ndarray) -> F0Metrics:
    """Raw pitch accuracy and median error on the frames that are confident in the reference.

    Source: raw pitch accuracy, Poliner et al., IEEE TASLP 15:4, 2007 (as ``mir_eval.melody``: an error of exactly
    50 cents is a miss); octave errors are misses.

    Args:
        reference_f0_hz: float [T], > 0 where confident.
        f0_hz: float [T]; a value <= 0 counts as a miss of an infinite distance.
        confident: bool [T].

    Raises:
        TinyTimbreError: fewer than two frames, NaN or unequal lengths.
    """
    reference_f0_hz, f0_hz = _checked_curves(reference_f0_hz, f0_hz, what="pitch curves")
    confident = np.asarray(confident, bool)
    if confident.shape != f0_hz.shape:
        raise TinyTimbreError("one confidence a frame is needed", got=f"{len(confident)} for {len(f0_hz)} frames")
    if not confident.any():
        return F0Metrics(float("nan"), float("nan"), 0)
    with np.errstate(divide="ignore"):
        ratio = np.maximum(f0_hz[confident], 0.0) / reference_f0_hz[confident]
        cents = np.abs(1200.0 * np.log2(ratio))
    accuracy = 100.0 * float(np.mean(cents < PITCH_TOLERANCE_CENTS))
    return F0Metrics(accuracy, float(np.median(cents)), int(confident.sum()))


def _log_distance_db(reference: np.ndarray, audio: np.ndarray, *, fft_size: int) -> float:
    ours, theirs = _power(reference, fft_size=fft_size), _power(audio, fft_size=fft_size)
    peak = ours.max()
    return float(np.mean(np.abs(_floored_db(ours, peak=peak) - _floored_db(theirs, peak=peak)), dtype=np.float64))


def _mel_difference_db(reference: np.ndarray, audio: np.ndarray, *, sample_rate_hz: int) -> np.ndarray:
    """Float [frames, bands]: both floored 60 dB below the reference's largest band."""
    bank = _mel_bank(sample_rate_hz)
    powers = [_power(sound, fft_size=MEL_FFT_SIZE) @ bank for sound in (reference, audio)]
    return _floored_db(powers[0], peak=powers[0].max()) - _floored_db(powers[1], peak=powers[0].max())


def _floored_db(power: np.ndarray, *, peak: float) -> np.ndarray:
    """Level in dB relative to ``peak``, from `FLOOR_DB` up."""
    return 10.0 * np.log10(np.maximum(power / peak, np.float32(10 ** (FLOOR_DB / 10))))


def _power(audio: np.ndarray, *, fft_size: int) -> np.ndarray:
    """Float32 [frames, fft_size / 2 + 1]: squared magnitudes of centred frames, hop ``fft_size / 4``."""
    padded = np.pad(audio, fft_size // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, fft_size)[:: fft_size // 4]
    spectrum = scipy.fft.rfft(frames * _window(fft_size), axis=-1)
    return spectrum.real**2 + spectrum.imag**2


@functools.cache
def _window(size: int) -> np.ndarray:
    """Periodic Hann, float32 [size]."""
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)).astype(np.float32)


@functools.cache
def _mel_bank(sample_rate_hz: int) -> np.ndarray:
    """Float32 [bins, bands]."""
    from librosa.filters import mel

    bank = mel(sr=sample_rate_hz, n_fft=MEL_FFT_SIZE, n_mels=MEL_BANDS, fmin=MEL_MIN_HZ)
    return np.ascontiguousarray(bank.T, np.float32)


def checked_sounds(reference: np.ndarray, audio: np.ndarray, *, sample_rate_hz: int) -> tuple[np.ndarray, np.ndarray]:
    """Both as float32 [n].

    Raises:
        TinyTimbreError: silent, shorter than one 2048 frame, NaN or of unequal lengths.
    """
    reference, audio = np.asarray(reference, np.float32), np.asarray(audio, np.float32)
    _check_lengths(reference, audio, what="sounds", least=MIN_SAMPLES, unit=f"samples at {sample_rate_hz} Hz")
    for name, sound in (("reference", reference), ("rendering", audio)):
        if float(np.max(np.abs(sound))) < SILENT_PEAK:
            raise TinyTimbreError(
                "a spectral distance needs sound on both sides",
                got=f"the {name} is silent (below {20 * np.log10(SILENT_PEAK):.0f} dBFS throughout)",
                cause="the model collapsed" if name == "rendering" else "the recording is silent",
            )
    return reference, audio


def _checked_curves(reference: np.ndarray, curve: np.ndarray, *, what: str) -> tuple[np.ndarray, np.ndarray]:
    reference, curve = np.asarray(reference, np.float64), np.asarray(curve, np.float64)
    _check_lengths(reference, curve, what=what, least=MIN_FRAMES, unit="frames")
    return reference, curve


def _check_lengths(reference: np.ndarray, other: np.ndarray, *, what: str, least: int, unit: str) -> None:
    if reference.ndim != 1 or other.ndim != 1:
        raise TinyTimbreError(f"{what} to compare have one dimension", got=f"{reference.shape} and {other.shape}")
    if len(reference) != len(other):
        raise TinyTimbreError(f"{what} to compare have one length", got=f"{len(reference)} and {len(other)} {unit}")
    if len(reference) < least:
        raise TinyTimbreError(f"{what} to compare have at least {least} {unit}", got=f"{len(reference)} {unit}")
    if not (np.isfinite(reference).all() and np.isfinite(other).all()):
        raise TinyTimbreError(f"{what} to compare are finite throughout", got="NaN or infinite values")
