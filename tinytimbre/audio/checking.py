"""Is a recording fit to learn one instrument from? One pure function per check.

    problems = check_recording(decoded, audio, f0_hz, confidence, config=config)

Each check returns a `Problem` or None. Levels are in dB relative to full scale.
"""

from __future__ import annotations

import numpy as np

from tinytimbre.audio.reading import Decoded
from tinytimbre.audio.recording import Problem, problem
from tinytimbre.config import AudioConfig, SweepConfig
from tinytimbre.errors import TinyTimbreError

SILENCE_DB = -60.0
"""Below this nothing sounds: 20 dB above the noise of a 16-bit file, below any usable recording."""

DYNAMICS_DB = 40.0
"""Frames this far below the loudest one are tails and pauses; their pitch is not asked for."""

VOICED_CONFIDENCE = 0.5
"""SwiftF0 and pYIN alike: noise stays below 0.1; plucked sitar notes reach 0.85 in 3 % of their frames only."""

MIN_CLIPPED_RUN = 3
SPECTRUM_SECS = 0.256
HARMONIC_BAND_HZ = (50.0, 4000.0)
HARMONIC_WIDTH_HZ = 14.0  # main lobe of the Hann window, 4 / SPECTRUM_SECS wide, to both sides
HARMONIC_WIDTH_SHARE = 0.02  # vibrato and stiff strings


def check_recording(
    decoded: Decoded, audio: np.ndarray, *, f0_hz: np.ndarray, confidence: np.ndarray, config: SweepConfig
) -> tuple[Problem, ...]:
    """Every finding about one file.

    Args:
        decoded: samples as the file holds them.
        audio: float32 [n], mono at ``config.audio.sample_rate_hz``.
        f0_hz, confidence: [T] on the frame grid (frame ``i`` centred at sample ``i * hop``).
    """
    levels_db = frame_levels_db(audio, hop=config.hop, n_frames=len(confidence))
    silent = check_silence(levels_db, config=config.audio)
    found = [check_seconds(decoded.seconds, config=config.audio), silent, check_clipping(decoded, config=config.audio)]
    if silent is None:
        share = inharmonic_share(
            audio, f0_hz=f0_hz, confidence=confidence, hop=config.hop, sample_rate_hz=config.audio.sample_rate_hz
        )
        found += [check_voiced(levels_db, confidence, config=config.audio), check_polyphony(share, config=config.audio)]
    return tuple(one for one in found if one is not None)


def frame_levels_db(audio: np.ndarray, *, hop: int, n_frames: int) -> np.ndarray:
    """RMS level in dB of 4-hop windows centred at ``i * hop``: float64 [n_frames], silence is -120."""
    padded = np.pad(audio.astype(np.float64), 4 * hop)
    energy = np.concatenate([[0.0], np.cumsum(np.square(padded))])
    starts = np.minimum(np.arange(n_frames) * hop + 2 * hop, len(padded) - 4 * hop)
    power = np.maximum(energy[starts + 4 * hop] - energy[starts], 0.0) / (4 * hop)
    return np.asarray(10 * np.log10(power + 1e-12))


def sounding_frames(levels_db: np.ndarray) -> np.ndarray:
    """Boolean [T]: frames that hold sound rather than a pause or a tail."""
    return np.asarray((levels_db > SILENCE_DB) & (levels_db > np.max(levels_db, initial=-120.0) - DYNAMICS_DB))


def check_seconds(seconds: float, *, config: AudioConfig) -> Problem | None:
    """Long enough to hold a note."""
    if seconds >= config.min_secs:
        return None
    return problem(
        "too-short",
        TinyTimbreError(
            f"a recording needs at least {config.min_secs:g} s",
            got=f"{seconds:.2f} s",
            cause="a fragment, or a single drum-like hit",
            remedy="record longer notes, join fragments, or lower audio.min_secs",
        ),
    )


def check_silence(levels_db: np.ndarray, *, config: AudioConfig) -> Problem | None:
    """Not (almost) all silence."""
    share = float(np.mean(levels_db <= SILENCE_DB)) if len(levels_db) else 1.0
    if share <= config.max_silent_share:
        return None
    return problem(
        "silent",
        TinyTimbreError(
            f"at most {config.max_silent_share:.0%} of a recording may be silent (below {SILENCE_DB:g} dB)",
            got=f"{share:.0%}, loudest moment {np.max(levels_db, initial=-120.0):.0f} dB",
            cause="a muted or wrong input, a far too low level, or long pauses",
            remedy="cut the pauses, raise the gain and record again, or raise audio.max_silent_share",
        ),
    )


def clipped_share(samples: np.ndarray) -> float:
    """Share of samples in flat tops: runs of 3 or more equal samples at a channel's own peak, cut off abruptly.

    The method of editors' "find clipping" (runs at the limit), with the file's own peak for a limit, since a
    clipped recording may have been turned down later. A peak that quantisation flattens, as in a low sine of few
    bits, is entered by one step; a clipped one by more.

    Args:
        samples: [channels, n].
    """
    clipped = sum(_clipped_samples(sign * channel) for channel in samples for sign in (1, -1))
    return clipped / max(samples.size, 1)


def _clipped_samples(channel: np.ndarray) -> int:
    """Samples in runs at the maximum of ``channel`` [n]."""
    peak = float(np.max(channel, initial=0.0))
    if peak <= 10 ** (SILENCE_DB / 20):
        return 0
    edges = np.flatnonzero(np.diff(np.concatenate([[0], (channel >= peak * (1 - 1e-5)).astype(np.int8), [0]])))
    lengths = edges[1::2] - edges[::2]
    starts, ends = edges[::2][lengths >= MIN_CLIPPED_RUN], edges[1::2][lengths >= MIN_CLIPPED_RUN]
    if not len(starts):
        return 0
    around = np.minimum(channel[np.maximum(starts - 1, 0)], channel[np.minimum(ends, len(channel) - 1)])
    abrupt = peak - around > 1.5 * _quantisation_step(channel)
    return int((ends - starts)[abrupt].sum())


def _quantisation_step(channel: np.ndarray) -> float:
    """Smallest distance between two levels that occur, at most that of 8 bits."""
    gaps = np.diff(np.unique(np.abs(channel)))
    return float(np.min(gaps, initial=1 / 127))


def check_clipping(decoded: Decoded, *, config: AudioConfig) -> Problem | None:
    """Not cut off at the converter's limit (measured at the file's own rate, before any resampling)."""
    share = clipped_share(decoded.samples)
    if share <= config.max_clipped_share:
        return None
    return problem(
        "clipped",
        TinyTimbreError(
            f"at most {config.max_clipped_share:.1%} of the samples may be clipped",
            got=f"{share:.1%} lie in flat tops at the peak",
            cause="the input level was too high while recording",
            remedy="record with less gain, use a de-clipper, or raise audio.max_clipped_share",
        ),
    )


def voiced_share(levels_db: np.ndarray, confidence: np.ndarray) -> float:
    """Share of confident frames among those that sound (pauses count neither way)."""
    sounding = sounding_frames(levels_db)
    return float(np.mean(confidence[sounding] >= VOICED_CONFIDENCE)) if sounding.any() else 0.0


def check_voiced(levels_db: np.ndarray, confidence: np.ndarray, *, config: AudioConfig) -> Problem | None:
    """One pitch is heard for enough of the time."""
    share = voiced_share(levels_db, confidence)
    if share >= config.min_voiced_share:
        return None
    return problem(
        "unvoiced",
        TinyTimbreError(
            f"a pitch must be found in at least {config.min_voiced_share:.0%} of the frames that sound",
            got=f"{share:.0%}",
            cause="noise, speech, percussion, several instruments at once, or notes outside 47 to 2094 Hz",
            remedy="use recordings of one melody instrument alone, or lower audio.min_voiced_share",
        ),
    )


def inharmonic_share(
    audio: np.ndarray, *, f0_hz: np.ndarray, confidence: np.ndarray, hop: int, sample_rate_hz: int
) -> float:
    """Share of the energy of voiced frames away from every multiple of half the tracked pitch, in [0, 1].

    A pitch tracker follows the loudest of several notes confidently, so its confidence cannot tell a chord; the
    energy of the other notes can. Half the pitch, because a tracker one octave too high is no second instrument.
    """
    size = round(SPECTRUM_SECS * sample_rate_hz)
    padded = np.pad(audio, (size // 2, size))
    centres = np.arange(0, len(f0_hz), max(1, round(size / 2 / hop)))
    centres = centres[confidence[centres] >= VOICED_CONFIDENCE]
    frequency = np.fft.rfftfreq(size, 1 / sample_rate_hz)
    in_band = (frequency >= HARMONIC_BAND_HZ[0]) & (frequency < HARMONIC_BAND_HZ[1])
    off, total = 0.0, 1e-12
    for centre in centres:
        frame = padded[centre * hop : centre * hop + size]
        power = np.square(np.abs(np.fft.rfft(frame * np.hanning(size))))[in_band]
        off += float(power[~_near_multiples(frequency[in_band], f0_hz[centre] / 2)].sum())
        total += float(power.sum())
    return off / total


def _near_multiples(frequency_hz: np.ndarray, base_hz: float) -> np.ndarray:
    multiple = np.maximum(np.round(frequency_hz / base_hz), 1) * base_hz
    width = np.maximum(HARMONIC_WIDTH_HZ, HARMONIC_WIDTH_SHARE * frequency_hz)
    return np.asarray(np.abs(frequency_hz - multiple) <= width)


def check_polyphony(share: float, *, config: AudioConfig) -> Problem | None:
    """One voice at a time; ``share`` from `inharmonic_share`.

    Measured: single notes and phrases of eight instruments, sympathetic strings included, reach up to 0.33; most sums
    of three or more equally loud recordings exceed 0.35. Chords of simple ratios stay below.
    """
    if share <= config.max_inharmonic_share:
        return None
    return problem(
        "polyphonic",
        TinyTimbreError(
            f"at most {config.max_inharmonic_share:.0%} of the energy may lie off the harmonics of one pitch",
            got=f"{share:.0%}",
            cause="chords, several instruments at once, or loud background noise",
            remedy="use recordings of one note at a time, or raise audio.max_inharmonic_share if strings ring along",
        ),
    )
