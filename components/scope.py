"""Which part of the configuration a component sees.

TFX's cache looks at parameters. A component that were given the whole configuration would run again whenever
an unrelated key changes, so each is given the sections it declares; the others are set to their defaults.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tinytimbre.config import SearchConfig, SweepConfig, config_from_json

NO_SEARCH = SearchConfig(space={"width": [1]})
NO_NAME = "unnamed"
BUDGET_SCALE = "budget_scale"
"""Optional parameter of the components that count steps; only runs on Kubeflow have it."""


def scoped(config: SweepConfig, *sections: str) -> str:
    """JSON of the configuration with only `sections` kept; `tinytimbre.config.config_from_json` reads it."""
    kept = {section: getattr(config, section) for section in sections}
    config = SweepConfig(**{"name": NO_NAME, "search": NO_SEARCH, **kept})
    return config.model_dump_json(exclude={"kubeflow", "beam"})  # where it runs, not what comes out


def configuration(exec_properties: Mapping[str, Any]) -> SweepConfig:
    """The configuration an executor was given, with its budget scaled where the run asks for that.

    Raises:
        TinyTimbreError: the scale is not a positive number.
    """
    config, scale = config_from_json(exec_properties["config"]), exec_properties.get(BUDGET_SCALE)
    return config if scale is None else config.with_budget_scaled(scale)
