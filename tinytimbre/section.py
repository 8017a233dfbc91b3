"""What the sections of a configuration have in common."""

from __future__ import annotations

import pydantic


class Section(pydantic.BaseModel):
    """A part of the configuration: immutable, and an unknown key is an error."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
