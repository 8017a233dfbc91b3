"""The list of a `WebModels` artifact: ``models.json``."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

import pydantic

from tinytimbre.export.size import BundleSize

MODELS = "models.json"


class WebModel(pydantic.BaseModel):
    """One exported bundle; ``path`` is relative to the artifact."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    candidate_id: str
    trial_id: str
    instrument: str
    quantisation: str
    path: str
    size: BundleSize


_MODELS = pydantic.TypeAdapter(list[WebModel])


def save_models(models: Sequence[WebModel], folder: pathlib.Path) -> None:
    """Writes the list."""
    (folder / MODELS).write_bytes(_MODELS.dump_json(list(models), indent=1))


def load_models(folder: pathlib.Path) -> list[WebModel]:
    """Reads the list."""
    return _MODELS.validate_json((folder / MODELS).read_bytes())
