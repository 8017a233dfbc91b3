"""Any audio file to float samples: PyAV (FFmpeg's libraries) decodes, soxr resamples.

    audio = read_audio("take.m4a", sample_rate_hz=16_000)

`decode` keeps the file's own rate and channels, which the check for clipping needs.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib

import av
import numpy as np
import soxr

from tinytimbre.errors import TinyTimbreError

# Formats whose header states the exact length. MP3 and Ogg only estimate it or derive it from what is there.
EXACT_LENGTH_FORMATS = {"flac", "wav", "w64", "aiff", "caf", "mov,mp4,m4a,3gp,3g2,mj2"}
MISSING_SHARE = 0.01
MISSING_SECS = 0.05
# Writers that stream leave these in the length field of a RIFF chunk.
UNKNOWN_RIFF_LENGTHS = (0, 0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000)
# Bad packets at the very ends are tags and cut MP3 frames, which players skip as well.
TOLERATED_END_PACKETS = 2

av.logging.set_level(None)


class UnreadableAudioError(TinyTimbreError):
    """A file that gives no usable samples; ``kind`` is the kind of `Problem` it becomes."""

    def __init__(self, kind: str, rule: str, *, got: str = "", cause: str = "", remedy: str = "") -> None:
        super().__init__(rule, got=got, cause=cause, remedy=remedy)
        self.kind = kind


@dataclasses.dataclass(frozen=True)
class Decoded:
    """Samples as the file holds them: float32 [channels, n], full scale 1 (lossy files may exceed it)."""

    samples: np.ndarray
    sample_rate_hz: int

    @property
    def seconds(self) -> float:
        """Length."""
        return self.samples.shape[1] / self.sample_rate_hz


def read_audio(path: str | pathlib.Path, *, sample_rate_hz: int) -> np.ndarray:
    """Reads any audio file as mono.

    Returns:
        float32 [n] in [-1, 1] at ``sample_rate_hz``; scaled down where mixing or resampling exceeded 1.

    Raises:
        TinyTimbreError: no such file, empty, not audio, cut off, damaged, or not finite.
    """
    return to_mono(decode(path), sample_rate_hz=sample_rate_hz)


def to_mono(decoded: Decoded, *, sample_rate_hz: int) -> np.ndarray:
    """Mean of the channels (in float64), resampled: float32 [n] in [-1, 1]."""
    mono = decoded.samples.mean(axis=0, dtype=np.float64)
    if decoded.sample_rate_hz != sample_rate_hz:
        mono = soxr.resample(mono, decoded.sample_rate_hz, sample_rate_hz, quality="HQ")
    peak = float(np.max(np.abs(mono), initial=0.0))
    return (mono / max(peak, 1.0)).astype(np.float32)


def decode(path: str | pathlib.Path) -> Decoded:
    """All samples of the first audio stream; see `read_audio` for what it raises."""
    path = pathlib.Path(path)
    _check_file(path)
    try:
        with av.open(str(path), metadata_errors="ignore") as container:
            decoded = _decode_stream(container, name=path.name)
    except (av.FFmpegError, UnicodeDecodeError) as error:
        raise _not_audio(path.name) from error
    if not np.isfinite(decoded.samples).all():
        raise UnreadableAudioError(
            "not-finite",
            "every sample must be a finite number",
            got=f"{path.name} holds NaN or infinite samples",
            cause="a faulty export of a floating-point file",
            remedy="export it again, or as 16- or 24-bit PCM",
        )
    return decoded


def _check_file(path: pathlib.Path) -> None:
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            head = stream.read(4)
    except OSError as error:
        raise UnreadableAudioError(
            "unreadable", "the file must be readable", got=f"{path}: {error.strerror}", remedy="check path and rights"
        ) from error
    if size == 0:
        raise UnreadableAudioError(
            "empty",
            "a recording must not be an empty file",
            got=f"{path.name} has 0 bytes",
            cause="an interrupted copy or download",
            remedy="copy it again, or delete it",
        )
    if head in (b"RIFF", b"RF64"):
        _check_riff(path, size=size)


def _check_riff(path: pathlib.Path, *, size: int) -> None:
    """Compares the length that a wav header states with the file (FFmpeg silently takes what is there)."""
    with path.open("rb") as stream:
        stream.seek(12)
        while len(header := stream.read(8)) == 8:
            length = int.from_bytes(header[4:], "little")
            if header[:4] == b"data":
                missing = stream.tell() + length - size
                if length not in UNKNOWN_RIFF_LENGTHS and missing > max(MISSING_SHARE * length, 1):
                    raise _truncated(path.name, promised=f"{length} bytes of samples", found=f"{length - missing}")
                return
            stream.seek(length + length % 2, os.SEEK_CUR)


def _decode_stream(container: av.container.InputContainer, *, name: str) -> Decoded:
    if not container.streams.audio:
        raise _not_audio(name)
    stream = container.streams.audio[0]
    if stream.codec_context.name == "flac":
        stream.codec_context.options = {"err_detect": "crccheck+explode"}
    blocks = _decode_blocks(container, stream, name=name)
    if not blocks:
        raise _not_audio(name)
    decoded = Decoded(np.concatenate(blocks, axis=1), int(stream.rate))
    if container.format.name in EXACT_LENGTH_FORMATS and stream.duration:
        promised = float(stream.duration * stream.time_base)
        if promised - decoded.seconds > MISSING_SECS + MISSING_SHARE * promised:
            raise _truncated(name, promised=f"{promised:.2f} s", found=f"{decoded.seconds:.2f} s")
    return decoded


def _decode_blocks(container: av.container.InputContainer, stream: av.AudioStream, *, name: str) -> list[np.ndarray]:
    """Planar float32 blocks [channels, n]; packets that fail in the middle make the file unusable."""
    to_float = av.AudioResampler(format="fltp")
    blocks: list[np.ndarray] = []
    failed: list[int] = []
    n_packets = 0
    for n_packets, packet in enumerate(container.demux(stream), start=1):
        try:
            frames = stream.codec_context.decode(packet)
        except av.FFmpegError:
            failed.append(n_packets)
            continue
        blocks.extend(block.to_ndarray() for frame in frames for block in to_float.resample(frame))
    if blocks:
        blocks.extend(block.to_ndarray() for block in to_float.resample(None))
    inner = [i for i in failed if TOLERATED_END_PACKETS < i <= n_packets - TOLERATED_END_PACKETS]
    if inner and blocks:
        raise _truncated(name, promised=f"{n_packets} packets", found=f"{len(failed)} of them damaged")
    return [block for block in blocks if block.shape[1]]


def _not_audio(name: str) -> UnreadableAudioError:
    return UnreadableAudioError(
        "not-audio",
        "a recording must be an audio file (wav, flac, mp3, ogg, opus, m4a, …)",
        got=f"{name} holds no audio that can be decoded",
        cause="another kind of file with an audio ending, or one cut off so early that no sample is left",
        remedy="export it again as wav or flac, or delete it",
    )


def _truncated(name: str, *, promised: str, found: str) -> UnreadableAudioError:
    return UnreadableAudioError(
        "truncated",
        "a recording must be complete",
        got=f"{name} promises {promised}, found {found}",
        cause="an interrupted copy, download or recording",
        remedy="copy it again from where it came, or open it in an audio editor and export what is left",
    )
