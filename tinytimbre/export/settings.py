"""What a client must know besides the graph: ``settings.json`` of a bundle.

    settings = make_settings(config=config, decoder=spec, instrument="violin", trial_id="…", statistics=statistics)
    settings.to_json()

Field names are part of the published format; see `BundleSettings`.
"""

from __future__ import annotations

import json
import pathlib
from typing import Any, Literal, Self

import pydantic

from tinytimbre.config import InputKind, Quantisation, SweepConfig
from tinytimbre.decoders.spec import N_INPUTS, DecoderSpec
from tinytimbre.errors import TinyTimbreError
from tinytimbre.features.scaling import DB_RANGE, MIDI_RANGE
from tinytimbre.features.statistics import InstrumentStatistics
from tinytimbre.synthesis.reverb import Reverb

FORMAT_VERSION: Literal[2] = 2
# Version 1 lacks the checksum; nothing else in it reads differently.
READABLE_VERSIONS = (1, 2)
SETTINGS_FILE = "settings.json"
INPUTS, STATE, CONTROLS, NEXT_STATE = "inputs", "state", "controls", "next_state"


class Record(pydantic.BaseModel):
    """Immutable; an unknown field is an error; written as JSON without NaN."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class InputScaling(Record):
    """How the two inputs of a frame are made: pitch from f0_hz, level from loudness or RMS energy in dB."""

    pitch: str = "(69 + 12 * log2(f0_hz / 440)) / midi_range"
    level: str = "level_db / db_range + 1"
    midi_range: float = MIDI_RANGE
    db_range: float = DB_RANGE


class GraphContract(Record):
    """Names and shapes of the step graph: inputs [1, 2] and state [1, state_size], which starts as zeros."""

    inputs: str = INPUTS
    state: str = STATE
    controls: str = CONTROLS
    next_state: str = NEXT_STATE
    n_inputs: int = N_INPUTS
    state_size: int
    n_controls: int


class ControlLayout(Record):
    """Where each control lies in a frame: [start, end)."""

    amplitude: tuple[int, int]
    harmonics: tuple[int, int]
    noise: tuple[int, int]


class DataLicence(Record):
    """One source of the recordings and on what terms it was given."""

    source: str
    licence: str
    attribution: str = ""


class BundleSettings(Record):
    """Contents of ``settings.json``; `make_settings` fills what follows from the decoder and the sweep.

    Attributes:
        checksum: CRC-32 of model.json followed by weights.bin, eight hexadecimal digits; set where they are written.
        hop: samples per frame, sample_rate_hz / frame_rate_hz.
        input: what the level is: A-weighted loudness or RMS energy, both in dB within [-80, 0].
        statistics: pitch and level of the training recordings, the aim of timbre transfer.
        noise_seed: of the noise that the filtered-noise synthesiser starts from.
        reverb: the room to play the sound in, see ``docs/reverb.md``; null for none.
    """

    format_version: Literal[1, 2] = FORMAT_VERSION
    instrument: str = pydantic.Field(min_length=1)
    sweep: str
    trial_id: str
    features_fingerprint: str = ""
    quantisation: Quantisation = "float32"
    checksum: str = pydantic.Field("", pattern="^([0-9a-f]{8})?$")
    sample_rate_hz: int = pydantic.Field(gt=0)
    frame_rate_hz: float = pydantic.Field(gt=0)
    hop: int = pydantic.Field(gt=0)
    input: InputKind
    input_scaling: InputScaling = InputScaling()
    harmonics: int
    noise_bands: int
    control_layout: ControlLayout
    graph: GraphContract
    decoder: DecoderSpec
    noise_seed: int = 0
    reverb: Reverb | None = None
    statistics: InstrumentStatistics
    data: tuple[DataLicence, ...] = ()

    @pydantic.model_validator(mode="after")
    def _consistent(self) -> Self:
        """What is written twice for the reader's comfort must agree."""
        spec = self.decoder
        said = (self.input, self.harmonics, self.noise_bands, self.graph.state_size, self.graph.n_controls)
        if said != (spec.input, spec.harmonics, spec.noise_bands, spec.state_size, spec.n_controls):
            raise ValueError("input, harmonics, noise_bands and graph must agree with decoder")
        if (len(self.reverb.levels) if self.reverb else 0) != spec.reverb_bands:
            raise ValueError(f"reverb must have the decoder's {spec.reverb_bands} bands, or be null for 0")
        if self.hop * self.frame_rate_hz != self.sample_rate_hz:
            raise ValueError(f"hop must be sample_rate_hz / frame_rate_hz, got {self.hop}")
        return self

    def to_json(self) -> str:
        """Compact text; `read_settings` reads it back."""
        return json.dumps(self.model_dump(mode="json"), separators=(",", ":"), allow_nan=False, ensure_ascii=False)


def make_settings(
    *,
    config: SweepConfig,
    decoder: DecoderSpec,
    instrument: str,
    trial_id: str,
    statistics: InstrumentStatistics,
    features_fingerprint: str = "",
    data: tuple[DataLicence, ...] = (),
    noise_seed: int = 0,
    reverb: Reverb | None = None,
) -> BundleSettings:
    """Settings of a trial's bundle; `tinytimbre.export.bundle.export_bundle` sets quantisation and checksum.

    Raises:
        ValueError: `reverb` is not what the decoder's specification says; give `Decoder.reverb`.
    """
    harmonics_end = 1 + decoder.harmonics
    return BundleSettings(
        instrument=instrument,
        sweep=config.name,
        trial_id=trial_id,
        features_fingerprint=features_fingerprint,
        sample_rate_hz=config.audio.sample_rate_hz,
        frame_rate_hz=config.features.frame_rate_hz,
        hop=config.hop,
        input=decoder.input,
        harmonics=decoder.harmonics,
        noise_bands=decoder.noise_bands,
        control_layout=ControlLayout(
            amplitude=(0, 1), harmonics=(1, harmonics_end), noise=(harmonics_end, decoder.n_controls)
        ),
        graph=GraphContract(state_size=decoder.state_size, n_controls=decoder.n_controls),
        decoder=decoder,
        noise_seed=noise_seed,
        reverb=reverb,
        statistics=statistics,
        data=data,
    )


def read_settings(bundle_dir: str | pathlib.Path) -> BundleSettings:
    """Reads ``settings.json`` of a bundle.

    Raises:
        TinyTimbreError: it is missing, not JSON, of another format version, or lacks something.
    """
    path = pathlib.Path(bundle_dir) / SETTINGS_FILE
    try:
        content = path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from error
    return parse_settings(content, path=path)


def parse_settings(content: bytes, *, path: str | pathlib.Path) -> BundleSettings:
    """From the content of ``settings.json``; `path` is for messages. Raises as `read_settings`."""
    try:
        values = json.loads(content.decode())
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise _unreadable(path, error) from error
    _check_version(values, path=path)
    try:
        return BundleSettings.model_validate(values)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise TinyTimbreError(
            f"{SETTINGS_FILE} must describe the model completely",
            got=f"{path}: {where}: {first['msg'].removeprefix('Value error, ')}",
            cause="the file was edited or cut short",
            remedy="export or publish the model again",
        ) from error


def _unreadable(path: str | pathlib.Path, error: Exception) -> TinyTimbreError:
    return TinyTimbreError(
        f"a model needs a readable {SETTINGS_FILE}",
        got=f"{path}: {error}",
        remedy="give the folder that holds model.json, weights.bin and settings.json",
    )


def _check_version(values: Any, *, path: str | pathlib.Path) -> None:
    version = values.get("format_version") if isinstance(values, dict) else None
    if version not in READABLE_VERSIONS:
        raise TinyTimbreError(
            f"this version reads models of format {' and '.join(map(str, READABLE_VERSIONS))}",
            got=f"{path}: format_version {version!r}",
            cause="the model was exported by another version of TinyTimbre, or this is another program's file",
            remedy="export it again with this version, or use the version that made it",
        )
