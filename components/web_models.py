"""The lists of a `WebModels` artifact: ``models.json``, and ``failures.json`` of what could not be exported."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

import pydantic

from tinytimbre.export.size import BundleSize

MODELS, FAILURES = "models.json", "failures.json"


def candidate_id(trial_id: str, quantisation: str) -> str:
    """What a trial's model in a quantisation is called."""
    return f"{trial_id}-{quantisation}"


class WebModel(pydantic.BaseModel):
    """One exported bundle; ``path`` is relative to the artifact."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    candidate_id: str
    trial_id: str
    instrument: str
    quantisation: str
    path: str
    size: BundleSize


class FailedModel(pydantic.BaseModel):
    """A finalist that could not be fine-tuned for a quantisation, and why."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    candidate_id: str
    trial_id: str
    instrument: str
    quantisation: str
    reason: str


_MODELS = pydantic.TypeAdapter(list[WebModel])
_FAILURES = pydantic.TypeAdapter(list[FailedModel])


def save_models(models: Sequence[WebModel], folder: pathlib.Path) -> None:
    """Writes the list."""
    (folder / MODELS).write_bytes(_MODELS.dump_json(list(models), indent=1))


def load_models(folder: pathlib.Path) -> list[WebModel]:
    """Reads the list."""
    return _MODELS.validate_json((folder / MODELS).read_bytes())


def save_failures(failures: Sequence[FailedModel], folder: pathlib.Path) -> None:
    """Writes the list of what could not be exported."""
    (folder / FAILURES).write_bytes(_FAILURES.dump_json(list(failures), indent=1))


def load_failures(folder: pathlib.Path) -> list[FailedModel]:
    """Reads it; artifacts of earlier versions have none."""
    path = folder / FAILURES
    return _FAILURES.validate_json(path.read_bytes()) if path.is_file() else []
