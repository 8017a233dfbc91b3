"""Timbre transfer from file to file."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Iterable

import numpy as np

from tinytimbre.errors import TinyTimbreError
from tinytimbre.progress import track
from tinytimbre.transfer.analysis import SourceFeatures, analyse, survey
from tinytimbre.transfer.blocks import iter_blocks
from tinytimbre.transfer.model import TransferModel
from tinytimbre.transfer.plan import plan_transfer
from tinytimbre.transfer.rendering import render_plan

FORMATS = {".wav": "WAV", ".flac": "FLAC"}


@dataclasses.dataclass(frozen=True)
class TransferReport:
    """What was done.

    Attributes:
        seconds: length of the source, and of the output.
        sample_rate_hz: of the output.
        octave_shift: octaves the melody was moved into the instrument's range.
        level_shift_db: mean level of the tones, model input minus source.
        voiced_share: share of the source that is tones; the rest is faded out.
        folded_share: share of the tones moved by further octaves.
        peak: largest magnitude of the output, at most 0.98.
    """

    seconds: float
    sample_rate_hz: int
    octave_shift: int
    level_shift_db: float
    voiced_share: float
    folded_share: float
    peak: float


def transfer_file(
    source: str | pathlib.Path, *, model_dir: str | pathlib.Path, output: str | pathlib.Path
) -> TransferReport:
    """Plays the melody of ``source`` on the instrument of a published model.

    Args:
        source: audio of one voice, any format and length; read in blocks.
        model_dir: a published model (``<instrument>/<version>``).
        output: a .wav or .flac file, 16 bit, mono, at the model's sample rate; it appears whole or not at all.

    Raises:
        TinyTimbreError: another extension; a source that is unreadable, silent or without pitch; no model.
    """
    source, output = pathlib.Path(source), pathlib.Path(output)
    check_output(output, source=source)
    return transfer(source, model=TransferModel.load(model_dir), output=output)


def transfer(source: pathlib.Path, *, model: TransferModel, output: pathlib.Path) -> TransferReport:
    """As `transfer_file`, with a model that is already loaded."""
    check_output(output, source=source)
    features = _analyse_file(source, model=model)
    plan = plan_transfer(
        features,
        statistics=model.statistics,
        input_kind=model.decoder.spec.input,
        frame_rate_hz=model.frame_rate_hz,
    )
    audio = render_plan(plan, model=model, n_samples=features.n_samples)
    peak = _write(audio, output=output, sample_rate_hz=model.sample_rate_hz)
    return TransferReport(
        seconds=features.n_samples / model.sample_rate_hz,
        sample_rate_hz=model.sample_rate_hz,
        octave_shift=plan.octave_shift,
        level_shift_db=plan.level_shift_db,
        voiced_share=plan.voiced_share,
        folded_share=plan.folded_share,
        peak=peak,
    )


def check_output(output: pathlib.Path, *, source: pathlib.Path) -> None:
    """Refuses outputs that could not be written, before any work is done.

    Raises:
        TinyTimbreError: an extension other than .wav and .flac, a missing folder, or the source itself.
    """
    if output.suffix.lower() not in FORMATS:
        raise TinyTimbreError(
            "the output must be a .wav or .flac file", got=str(output), remedy="change the extension of the output"
        )
    if not output.parent.is_dir():
        raise TinyTimbreError("the output's folder must exist", got=str(output.parent), remedy="create it first")
    if output.exists() and source.exists() and output.samefile(source):
        raise TinyTimbreError("the output must not be the source", got=str(output), remedy="choose another name")


def _analyse_file(source: pathlib.Path, *, model: TransferModel) -> SourceFeatures:
    """Two passes over the file: its peak, which decides a gain, then its features."""
    rate = model.sample_rate_hz
    peak, n_blocks = survey(iter_blocks(source, sample_rate_hz=rate))
    blocks = iter_blocks(source, sample_rate_hz=rate)
    return analyse(
        track(blocks, label="listen", unit="blocks", total=n_blocks),
        peak=peak,
        input_kind=model.decoder.spec.input,
        hop=model.hop,
        sample_rate_hz=rate,
    )


def _write(blocks: Iterable[np.ndarray], *, output: pathlib.Path, sample_rate_hz: int) -> float:
    """Writes 16-bit mono audio under a temporary name, then renames it; returns the peak."""
    import soundfile

    partial = output.with_name(f".{output.name}.{os.getpid()}.partial")
    kind = FORMATS[output.suffix.lower()]
    peak = 0.0
    try:
        with soundfile.SoundFile(partial, "w", sample_rate_hz, 1, subtype="PCM_16", format=kind) as file:
            for block in blocks:
                file.write(block)
                peak = max(peak, float(np.abs(block).max(initial=0.0)))
        partial.replace(output)
    except (OSError, soundfile.LibsndfileError) as error:
        raise TinyTimbreError("the output must be writable", got=f"{output}: {error}") from error
    finally:
        partial.unlink(missing_ok=True)
    return peak
