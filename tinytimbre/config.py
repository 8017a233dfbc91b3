"""The configuration of a sweep: frozen, validated, one YAML file each under ``configs/``.

    config = load_config("configs/quickstart.yaml")
    config.features.frame_rate_hz

An unknown key, a wrong type or an impossible value raises `TinyTimbreError`, which names the key
and the nearest one that exists.
"""

from __future__ import annotations

import difflib
import itertools
import pathlib
import typing
from collections.abc import Iterable
from typing import Any, Literal, Self

import pydantic
import yaml

from tinytimbre import ignored_settings
from tinytimbre.beam_config import BeamFlags
from tinytimbre.errors import TinyTimbreError
from tinytimbre.kubeflow_config import KubeflowConfig
from tinytimbre.section import Section

DecoderKind = Literal["gru", "cnn"]
InputKind = Literal["loudness", "rms_energy"]
Quantisation = Literal["float32", "float16", "uint8", "int8", "int6", "int4", "tuned4", "tuned3", "tuned2"]
TUNED_BITS: dict[Quantisation, int] = {"tuned4": 4, "tuned3": 3, "tuned2": 2}
"""Quantisations whose weights are fine-tuned for it first."""

Value = int | float | str
MIN_SEEDS = 3
"""Trainings of one configuration from which their spread is told."""

SEARCH_KEYS = (
    "decoder", "input", "harmonics", "noise_bands", "width", "depth", "kernel_size", "reverb_bands", "learning_rate",
    "seed",
)  # fmt: skip
YAML_WORDS = {
    "too_short": "the list must not be empty",
    "tuple_type": "Input should be a list, such as [1, 2]",
    "list_type": "Input should be a list, such as [1, 2]",
    "dict_type": "Input should be a section of keys and values",
    "model_type": "Input should be a section of keys and values",
}
"""What pydantic says in terms of Python, by type of its finding."""


class AudioConfig(Section):
    """What a recording must be like to be used; see `tinytimbre.audio.checking` for each check."""

    sample_rate_hz: int = pydantic.Field(16_000, ge=8_000, le=48_000)
    min_secs: float = pydantic.Field(0.5, gt=0)
    max_silent_share: float = pydantic.Field(0.9, gt=0, le=1)
    max_clipped_share: float = pydantic.Field(0.01, ge=0, le=1)
    min_voiced_share: float = pydantic.Field(0.3, ge=0, le=1)
    max_inharmonic_share: float = pydantic.Field(0.4, gt=0, le=1, description="energy off one pitch's harmonics")


class SplitConfig(Section):
    """Shares of the takes held out, at least one take each; the rest trains."""

    validation: float = pydantic.Field(0.2, gt=0, lt=0.5)
    test: float = pydantic.Field(0.2, gt=0, lt=0.5)


class FeatureConfig(Section):
    """Frames per second of the controls and how pitch is tracked."""

    frame_rate_hz: float = pydantic.Field(50.0, ge=5, le=1_000)
    f0_tracker: Literal["swift_f0", "pyin"] = "swift_f0"


class Constraints(Section):
    """Configurations outside these bounds are not planned."""

    min_parameters: int = pydantic.Field(0, ge=0)
    max_parameters: int | None = pydantic.Field(None, gt=0)
    max_decoder_mflops: float | None = pydantic.Field(None, gt=0)


class SearchConfig(Section):
    """The search space: lists of values per key; ``gru`` and ``cnn`` hold the keys only they have.

    ``include`` names further configurations one by one, whatever ``constraints`` and ``trials`` say.
    """

    method: Literal["grid", "random", "sobol"] = "grid"
    trials: int | None = pydantic.Field(None, gt=0, description="for random and sobol; a cap for grid")
    seed: int = pydantic.Field(0, ge=0, lt=2**32)
    space: dict[str, list[Value]]
    gru: dict[str, list[Value]] = pydantic.Field({})
    cnn: dict[str, list[Value]] = pydantic.Field({})
    constraints: Constraints = Constraints()
    include: tuple[dict[str, Value], ...] = ()

    @pydantic.field_validator("space", "gru", "cnn")
    @classmethod
    def _known_keys_with_values(cls, space: dict[str, list[Value]]) -> dict[str, list[Value]]:
        _check_search_keys(space)
        empty = [key for key, values in space.items() if not values]
        if empty:
            raise ValueError(f"every key needs at least one value; {empty[0]!r} has none")
        return space

    @pydantic.field_validator("include")
    @classmethod
    def _each_with_kind_and_width(cls, included: tuple[dict[str, Value], ...]) -> tuple[dict[str, Value], ...]:
        for number, values in enumerate(included, start=1):
            _check_search_keys(values)
            missing = [key for key in ("decoder", "width") if key not in values]
            if missing:
                raise ValueError(
                    f"every configuration of search.include needs {missing[0]!r}; number {number} has none"
                )
        return included

    @pydantic.model_validator(mode="after")
    def _nothing_ignored(self) -> Self:
        ignored_settings.check_search(self)
        return self


def _check_search_keys(keys: Iterable[str]) -> None:
    for key in keys:
        if key not in SEARCH_KEYS:
            near = difflib.get_close_matches(key, SEARCH_KEYS, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"unknown search key {key!r}{hint}; known: {', '.join(SEARCH_KEYS)}")


class TrainingConfig(Section):
    """One optimisation step: ``batch_size`` clips of ``clip_secs`` each."""

    batch_size: int = pydantic.Field(8, ge=1)
    clip_secs: float = pydantic.Field(1.0, gt=0, le=60)
    learning_rate: float = pydantic.Field(1e-3, gt=0)
    gradient_clip_norm: float = pydantic.Field(3.0, gt=0)
    fft_sizes: tuple[int, ...] = (2048, 1024, 512, 256, 128, 64)
    loudness_weight: float = pydantic.Field(
        2.0, ge=0, description="of the level's error in nepers, beside the logarithmic part of every FFT size; 0: none"
    )
    warmup_secs: float = pydantic.Field(0.24, ge=0, le=60, description="heard by the decoder before each clip")
    side_by_side: int = pydantic.Field(4, ge=1, description="trials that share batches in one process")
    checkpoint_secs: float = pydantic.Field(20.0, gt=0)

    @pydantic.field_validator("fft_sizes")
    @classmethod
    def _powers_of_two(cls, sizes: tuple[int, ...]) -> tuple[int, ...]:
        if not sizes or any(not 16 <= size <= 65_536 or size & (size - 1) for size in sizes):
            raise ValueError(f"fft_sizes must be powers of two from 16 to 65536, got {list(sizes)}")
        return sizes


class BudgetConfig(Section):
    """Successive halving: rung ``k`` trains to ``rung_steps[k]``; the best ``1/eta`` of each stratum go on."""

    rung_steps: tuple[int, ...] = (100, 300, 900)
    eta: float = pydantic.Field(3.0, gt=1)
    strata: int = pydantic.Field(4, ge=1)
    min_per_stratum: int = pydantic.Field(1, ge=1)
    max_failed_share: float = pydantic.Field(0.5, ge=0, le=1)
    trial_timeout_secs: float = pydantic.Field(3600, gt=0)
    worker_memory_mb: int | None = pydantic.Field(
        None, gt=0, description="a training process that grows beyond it fails alone, TensorFlow's own 700 included"
    )

    @pydantic.field_validator("rung_steps")
    @classmethod
    def _growing(cls, steps: tuple[int, ...]) -> tuple[int, ...]:
        if not steps or steps[0] < 1 or any(b <= a for a, b in itertools.pairwise(steps)):
            raise ValueError(f"rung_steps must be positive and grow, got {list(steps)}")
        return steps

    @pydantic.model_validator(mode="after")
    def _nothing_ignored(self) -> Self:
        defaults = (BudgetConfig.model_fields["eta"].default, BudgetConfig.model_fields["min_per_stratum"].default)
        n_rungs = len(self.rung_steps)
        ignored_settings.check_promotion(self.eta, self.min_per_stratum, defaults=defaults, n_rungs=n_rungs)
        return self


class DistillationConfig(Section):
    """Teacher to student: smaller finalists are trained once more, beginning with the best finalist's controls."""

    enabled: bool = False
    students: int = pydantic.Field(4, ge=1, description="per instrument, from every size stratum in turn")
    steps: int | None = pydantic.Field(None, ge=1, description="of a student; as many as the last rung's if absent")
    control_share: float = pydantic.Field(
        0.5, gt=0, le=1, description="of the steps that learn the teacher's controls; the others learn from audio"
    )

    @pydantic.model_validator(mode="after")
    def _nothing_ignored(self) -> Self:
        ignored_settings.check_distillation(self.model_fields_set)
        return self


class GateConfig(Section):
    """Largest tolerated loss of quality against the best model of the sweep, one margin per metric.

    The defaults lie between differences that a published listening comparison called equal and ones
    it called worse; they are provisional. ``absolute_*`` bound the candidate itself, ``baseline_*`` its distance
    minus that of a filtered sawtooth, ``sanity_*`` what it does when played as in timbre transfer (see
    `tinytimbre.quality.sanity`): most frames at the pitch asked for; no fall to a tenth of the amplitude and no
    tenfold burst; a level that follows monotonically; on a voice, twice the loudness error allowed on its own takes.
    """

    log_spectral_db: float = pydantic.Field(0.35, gt=0)
    mel_spectral_db: float = pydantic.Field(0.5, gt=0)
    loudness_db: float = pydantic.Field(0.3, gt=0)
    f0_accuracy_points: float = pydantic.Field(1.0, gt=0)
    f0_cents: float = pydantic.Field(1.5, gt=0)
    worst_decile_log_spectral_db: float = pydantic.Field(1.0, gt=0)
    absolute_loudness_db: float = pydantic.Field(6.0, gt=0)
    absolute_log_spectral_db: float = pydantic.Field(15.0, gt=0)
    baseline_log_spectral_db: float = pydantic.Field(0.0, description="0: no worse than a filtered sawtooth")
    sanity_octave_f0_missed_points: float = pydantic.Field(50.0, gt=0)
    sanity_octave_level_db: float = pydantic.Field(20.0, gt=0)
    sanity_level_step_db: float = pydantic.Field(6.0, gt=0)
    sanity_voice_f0_missed_points: float = pydantic.Field(50.0, gt=0)
    sanity_voice_level_db: float = pydantic.Field(12.0, gt=0)
    confidence: float = pydantic.Field(0.95, gt=0.5, lt=1)
    bootstrap_draws: int = pydantic.Field(2000, ge=200)


class ExportConfig(Section):
    """Every finalist is exported in each of these; ``tuned<bits>`` is fine-tuned for its bits first.

    Of several seeds of one configuration only the best is; the others are exported in the first of these.
    """

    quantisations: tuple[Quantisation, ...] = pydantic.Field(
        ("float32", "float16", "uint8", "int6", "int4"), min_length=1
    )
    tuning_steps: int = pydantic.Field(200, ge=1)

    @pydantic.field_validator("quantisations")
    @classmethod
    def _each_once(cls, quantisations: tuple[Quantisation, ...]) -> tuple[Quantisation, ...]:
        return tuple(dict.fromkeys(quantisations))

    @pydantic.model_validator(mode="after")
    def _nothing_ignored(self) -> Self:
        default, given = ExportConfig.model_fields["tuning_steps"].default, self.quantisations
        ignored_settings.check_tuning(self.tuning_steps, default=default, quantisations=given, tuned=TUNED_BITS)
        return self


class SweepConfig(Section):
    """Everything that defines a sweep; `load_config` reads it from YAML."""

    name: str = pydantic.Field(pattern=r"^[a-z][a-z0-9_-]{0,40}$")
    seed: int = pydantic.Field(0, ge=0, lt=2**32)
    instruments: tuple[str, ...] = pydantic.Field((), description="empty: every instrument found")
    audio: AudioConfig = AudioConfig()
    split: SplitConfig = SplitConfig()
    features: FeatureConfig = FeatureConfig()
    search: SearchConfig
    training: TrainingConfig = TrainingConfig()
    budget: BudgetConfig = BudgetConfig()
    distillation: DistillationConfig = DistillationConfig()
    gates: GateConfig = GateConfig()
    export: ExportConfig = ExportConfig()
    kubeflow: KubeflowConfig = KubeflowConfig()
    beam: BeamFlags = pydantic.Field((), description="such as --runner=DaskRunner; default: threads of this process")

    @property
    def hop(self) -> int:
        """Samples per control frame."""
        return round(self.audio.sample_rate_hz / self.features.frame_rate_hz)

    @pydantic.model_validator(mode="after")
    def _whole_hop(self) -> Self:
        hop = self.audio.sample_rate_hz / self.features.frame_rate_hz
        if abs(hop - round(hop)) > 1e-9:
            raise ValueError(
                "sample_rate_hz / frame_rate_hz must be whole, got "
                f"{self.audio.sample_rate_hz} / {self.features.frame_rate_hz:g} = {hop:g}"
            )
        return self

    @pydantic.model_validator(mode="after")
    def _nothing_ignored(self) -> Self:
        default = TrainingConfig.model_fields["learning_rate"].default
        ignored_settings.check_learning_rate(self.training.learning_rate, default=default, search=self.search)
        return self

    def with_budget_scaled(self, scale: float) -> SweepConfig:
        """The same sweep with every rung's steps, and the students', times `scale`; rungs still grow, by 1 at least.

        Raises:
            TinyTimbreError: `scale` is not a positive number.
        """
        if not 0 < scale < float("inf"):
            raise TinyTimbreError(
                "the budget's scale must be a positive number", got=str(scale), remedy="1 changes nothing"
            )
        steps: list[int] = []
        for target in self.budget.rung_steps:
            steps.append(max(round(target * scale), steps[-1] + 1 if steps else 1))
        own = self.distillation.steps
        distillation = {"steps": own and max(1, round(own * scale))}
        return self.model_copy(
            update={
                "budget": self.budget.model_copy(update={"rung_steps": tuple(steps)}),
                "distillation": self.distillation.model_copy(update=distillation),
            }
        )

    def to_json(self) -> str:
        """Canonical text of the configuration; `config_from_json` reads it back."""
        return self.model_dump_json()


class _EachKeyOnce(yaml.SafeLoader):
    """YAML forbids a key twice in one section; PyYAML would silently take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [str(key.value) for key, _ in node.value]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise yaml.MarkedYAMLError(problem=f"the key {twice!r} is there twice", problem_mark=node.start_mark)
        return super().construct_mapping(node, deep=deep)


def load_config(path: str | pathlib.Path) -> SweepConfig:
    """Reads a sweep configuration from YAML.

    Raises:
        TinyTimbreError: no such file, not YAML, an unknown key, a wrong type or value.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise TinyTimbreError(
            "the configuration must be a readable YAML file", got=str(path), remedy="see configs/ for examples"
        )
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), Loader=_EachKeyOnce)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise TinyTimbreError(
            "the configuration must be valid YAML", got=f"{path}: {error}", remedy="correct the file there"
        ) from error
    return _validated(values, origin=str(path))


def config_from_json(text: str) -> SweepConfig:
    """Reads back what `SweepConfig.to_json` wrote."""
    return SweepConfig.model_validate_json(text)


def _validated(values: Any, *, origin: str) -> SweepConfig:
    try:
        return SweepConfig.model_validate(values)
    except pydantic.ValidationError as error:
        raise _readable(error, origin=origin) from error


def _readable(error: pydantic.ValidationError, *, origin: str) -> TinyTimbreError:
    """Turns pydantic's first finding into rule, value and way out."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] != "extra_forbidden":
        rule = YAML_WORDS.get(first["type"], first["msg"].removeprefix("Value error, "))
        # A finding about several keys together comes with the whole file, which says nothing.
        whole = not where and isinstance(first["input"], dict)
        return TinyTimbreError(
            f"{origin}: {rule}",
            got="" if whole else f"{where or 'the file'} = {first['input']!r}"[:300],
            remedy="correct this; docs and defaults are in tinytimbre/config.py",
        )
    known = _known_keys(first["loc"][:-1])
    near = difflib.get_close_matches(str(first["loc"][-1]), known, n=1)
    return TinyTimbreError(
        f"{origin}: unknown key {where!r}",
        got=f"{where} = {first['input']!r}"[:300],
        cause=f"did you mean {near[0]!r}?" if near else "",
        remedy=f"known keys here: {', '.join(known)}",
    )


def _known_keys(location: tuple[int | str, ...]) -> list[str]:
    section: type[pydantic.BaseModel] = SweepConfig
    for part in location:
        if isinstance(part, str):  # a number is a place in a list of sections
            annotation = section.model_fields[part].annotation
            kinds = (kind for kind in (annotation, *typing.get_args(annotation)) if isinstance(kind, type))
            section = next((kind for kind in kinds if issubclass(kind, pydantic.BaseModel)), section)
    return list(section.model_fields)
