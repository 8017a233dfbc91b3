"""Reading an audio file of any format and length in blocks, at bounded memory."""

from __future__ import annotations

import itertools
import os
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from tinytimbre.errors import TinyTimbreError

BLOCK_SAMPLES = 65_536
TOLERATED_PACKETS = 2


def iter_blocks(path: str | pathlib.Path, *, sample_rate_hz: int) -> Iterator[np.ndarray]:
    """The file as mono float32 blocks [n] at ``sample_rate_hz``, mean of its channels, n about 65,536.

    A file that ends too early is read as far as it goes; up to two damaged packets are skipped.

    Raises:
        TinyTimbreError: missing, unreadable, without an audio stream, or damaged.
    """
    import av

    path = pathlib.Path(path)
    if not path.is_file():
        raise TinyTimbreError("the source must be an audio file that exists", got=str(path), remedy="check the path")
    av.logging.set_level(None)
    try:
        with av.open(os.fspath(path), metadata_errors="ignore") as container:
            if not container.streams.audio:
                raise TinyTimbreError("the source must hold sound", got=f"{path} has no audio stream")
            yield from _joined(_resampled(_decoded(container), sample_rate_hz=sample_rate_hz))
    except av.FFmpegError as error:
        raise TinyTimbreError(
            "the source must be readable audio",
            got=f"{path}: {error}",
            cause="no audio file, or a damaged one",
            remedy="any format that FFmpeg reads will do: wav, flac, mp3, ogg, m4a",
        ) from error


def _decoded(container: Any) -> Iterator[tuple[np.ndarray, int]]:
    """Mono float32 blocks of the first audio stream with their sample rate."""
    import av

    planar = av.AudioResampler(format="fltp")
    started = False
    for frame in itertools.chain(_frames(container, container.streams.audio[0]), [None]):
        # At the end, None hands out what the converter still holds; one that never had a frame refuses it.
        if frame is None and not started:
            return
        started = True
        for converted in planar.resample(frame):
            yield converted.to_ndarray().mean(axis=0, dtype=np.float32), converted.sample_rate


def _frames(container: Any, stream: Any) -> Iterator[Any]:
    """Decoded frames; players skip a bad packet at either end (tags, cut MP3 frames), so it is no error here."""
    import av

    failed = 0
    for packet in container.demux(stream):
        try:
            yield from stream.codec_context.decode(packet)
        except av.FFmpegError:
            failed += 1
            if failed > TOLERATED_PACKETS:
                raise


def _resampled(blocks: Iterator[tuple[np.ndarray, int]], *, sample_rate_hz: int) -> Iterator[np.ndarray]:
    import soxr

    stream = None
    for block, rate in blocks:
        if rate == sample_rate_hz and stream is None:
            yield block
            continue
        stream = stream or soxr.ResampleStream(rate, sample_rate_hz, 1, dtype="float32")
        yield stream.resample_chunk(np.ascontiguousarray(block))
    if stream is not None:
        yield stream.resample_chunk(np.zeros(0, np.float32), last=True)


def _joined(blocks: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """Gathers decoder frames of some thousand samples into blocks worth a call; NaN and infinity become 0."""
    waiting: list[np.ndarray] = []
    size = 0
    for block in blocks:
        waiting.append(np.nan_to_num(block, posinf=0.0, neginf=0.0))
        size += len(block)
        if size >= BLOCK_SAMPLES:
            yield np.concatenate(waiting)
            waiting, size = [], 0
    if size:
        yield np.concatenate(waiting)
