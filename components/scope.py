"""Which part of the configuration a component sees.

TFX's cache looks at parameters. A component that were given the whole configuration would run again whenever
an unrelated key changes, so each is given the sections it declares; the others are set to their defaults.
"""

from __future__ import annotations

from tinytimbre.config import SearchConfig, SweepConfig

NO_SEARCH = SearchConfig(space={"width": [1]})
NO_NAME = "unnamed"


def scoped(config: SweepConfig, *sections: str) -> str:
    """JSON of the configuration with only `sections` kept; `tinytimbre.config.config_from_json` reads it."""
    kept = {section: getattr(config, section) for section in sections}
    return SweepConfig(**{"name": NO_NAME, "search": NO_SEARCH, **kept}).to_json()
