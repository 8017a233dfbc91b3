"""Every exported model in a browser, or in Node where there is none: what a BrowserValidator would be.

It is a part of the evaluator and no node of its own, for two reasons. A model that does not play in a browser must not
be chosen, so this has to be known before the selection; and a sweep of five rungs in four shards has 32 tasks already,
which is as many as a pipeline may have on Kubeflow.
"""

from __future__ import annotations

import pathlib
from collections.abc import Mapping, Sequence

from components.quality_evaluator.store import content_key
from components.web_models import WebModel
from tinytimbre.durable import write_whole
from tinytimbre.progress import track
from tinytimbre.validation.bundles import validate_bundles
from tinytimbre.validation.chromium import find_chromium
from tinytimbre.validation.jobs import Validation


def validations(
    models: Sequence[WebModel], *, bundles: pathlib.Path, cache: pathlib.Path, code_version: str
) -> dict[str, Validation]:
    """By candidate id. What a browser found is kept; what Node found too, until there is a browser."""
    browser = find_chromium() is not None
    files = {m.candidate_id: cache / f"{_key(m, bundles, code_version, browser=browser)}.json" for m in models}
    found = {name: Validation.model_validate_json(file.read_bytes()) for name, file in files.items() if file.is_file()}
    missing = [model for model in models if model.candidate_id not in found]
    results = validate_bundles([bundles / model.path for model in missing])
    cache.mkdir(parents=True, exist_ok=True)
    for index, validation in track(results, label="validation", unit="models", total=len(missing)):
        name = missing[index].candidate_id
        found[name] = validation
        # A browser that failed may not fail the next time.
        if (validation.runtime == "browser") == browser:
            write_whole(files[name], validation.model_dump_json().encode())
    return found


def invalid(found: Mapping[str, Validation]) -> dict[str, str]:
    """Why a candidate must not be chosen, by id; only of those that must not."""
    places = {"browser": "in a browser", "node": "in Node"}
    return {name: f"{places[v.runtime]}: {v.failure}" for name, v in found.items() if v.failure}


def _key(model: WebModel, bundles: pathlib.Path, code_version: str, *, browser: bool) -> str:
    return content_key(bundles / model.path, salt=f"validation {code_version} {browser}")
