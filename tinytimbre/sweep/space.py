"""From a search space to the configurations it holds: deterministic, without duplicates.

``space`` holds the values of keys that every configuration has; ``gru`` and ``cnn`` those that only one kind has. Keys
that are left out take the defaults below. ``reverb_bands`` has none: a space that does not name it has no dimension for
it, and is drawn as it was before there were rooms. ``include`` adds single configurations, after those of the space.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pydantic
from scipy.stats import qmc

from tinytimbre.config import SearchConfig, SweepConfig, Value
from tinytimbre.decoders.spec import DecoderSpec
from tinytimbre.errors import TinyTimbreError

DEFAULTS: dict[str, list[Value]] = {
    "decoder": ["gru", "cnn"],
    "input": ["loudness"],
    "harmonics": [60],
    "noise_bands": [65],
    "width": [16],
    "depth": [0],
    "kernel_size": [3],
    "learning_rate": [],
    "seed": [0],
}
NOT_OF_DECODER = ("learning_rate", "seed")


def expand(config: SweepConfig) -> list[dict[str, Any]]:
    """All configurations of a sweep's search, in a stable order.

    Args:
        config: ``search`` is the space, how to sample it and its constraints; ``training.learning_rate`` is for
            configurations whose space does not name one; MFLOP/s depend on ``features.frame_rate_hz``.

    Returns:
        Dictionaries with ``decoder`` (a `DecoderSpec`), ``learning_rate`` and ``seed``.

    Raises:
        TinyTimbreError: no configuration satisfies the constraints, or a value is impossible.
    """
    search, rate = config.search, config.features.frame_rate_hz
    learning_rate = config.training.learning_rate
    kinds = [_axes(search, kind, learning_rate) for kind in search.space.get("decoder", DEFAULTS["decoder"])]
    drawn = _grid(kinds) if search.method == "grid" else _sample(kinds, search)
    unique = _unique(drawn)
    kept = [entry for entry in unique if _allowed(entry["decoder"], search, rate)]
    if not kept:
        raise TinyTimbreError(
            "a search space must hold at least one configuration",
            got=f"{len(unique)} drawn, none within {search.constraints}",
            remedy="widen search.constraints or the lists in search.space",
        )
    count = min(len(kept), search.trials or len(kept))
    # Drawn points are in random order; a grid that is cut short is thinned evenly, or only one corner would be left.
    chosen = np.linspace(0, len(kept) - 1, count).round().astype(int) if search.method == "grid" else range(count)
    entries = [kept[index] for index in chosen]
    return entries + [entry for entry in _unique(_included(search, learning_rate)) if entry not in entries]


def _unique(drawn: list[dict[str, Value]]) -> list[dict[str, Any]]:
    """Checked configurations, each at its first place; compared after checking, where 8 and 8.0 are the same."""
    return list({tuple(entry.values()): entry for entry in map(_configuration, drawn)}.values())


def _included(search: SearchConfig, learning_rate: float) -> list[dict[str, Value]]:
    """``search.include``, each read as a space of one point so that defaults and rules are the same."""
    points = [SearchConfig(space={key: [value] for key, value in values.items()}) for values in search.include]
    return _grid([_axes(point, point.space["decoder"][0], learning_rate) for point in points])


def _axes(search: SearchConfig, kind: Value, learning_rate: float) -> dict[str, list[Value]]:
    if kind not in ("gru", "cnn"):
        raise TinyTimbreError("a search's decoder must be 'gru' or 'cnn'", got=repr(kind), remedy="correct it")
    own = search.gru if kind == "gru" else search.cnn
    axes: dict[str, list[Value]] = {
        **DEFAULTS,
        "learning_rate": [learning_rate],
        **search.space,
        **own,
        "decoder": [kind],
    }
    if kind == "gru":
        # A GRU has no convolution: letting the key vary would train the same model several times.
        axes["kernel_size"] = DEFAULTS["kernel_size"]
    return axes


def _grid(kinds: list[dict[str, list[Value]]]) -> list[dict[str, Value]]:
    return [dict(zip(axes, values, strict=True)) for axes in kinds for values in itertools.product(*axes.values())]


def _sample(kinds: list[dict[str, list[Value]]], search: SearchConfig) -> list[dict[str, Value]]:
    """Points of the unit cube read as positions in the lists; more than asked for, since some coincide."""
    if search.trials is None:
        raise TinyTimbreError(f"search.method {search.method!r} needs search.trials", got="none", remedy="set it")
    dimensions = 1 + max(len(axes) for axes in kinds)
    count = 1 << math.ceil(math.log2(4 * search.trials))
    if search.method == "sobol":
        points = qmc.Sobol(dimensions, seed=search.seed).random(count)
    else:
        points = np.random.default_rng(search.seed).random((count, dimensions))
    return [_at(point, kinds) for point in points]


def _at(point: np.ndarray, kinds: list[dict[str, list[Value]]]) -> dict[str, Value]:
    axes = kinds[int(point[0] * len(kinds))]
    positions = zip(axes.items(), point[1:], strict=False)
    return {key: values[int(position * len(values))] for (key, values), position in positions}


class _Configuration(pydantic.BaseModel):
    """One point of the space, checked."""

    decoder: DecoderSpec
    learning_rate: float = pydantic.Field(gt=0)
    seed: int = pydantic.Field(ge=0, lt=2**32)


def _configuration(values: dict[str, Any]) -> dict[str, Any]:
    decoder = {key: value for key, value in values.items() if key not in NOT_OF_DECODER}
    others = {key: values[key] for key in NOT_OF_DECODER}
    try:
        checked = _Configuration.model_validate({"decoder": {"kind": decoder.pop("decoder"), **decoder}, **others})
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        raise TinyTimbreError(
            "every value of the search space must be possible",
            got=f"{first['loc'][-1]} = {first['input']!r}: {first['msg']}",
            remedy="correct it in search.space, search.gru, search.cnn or search.include",
        ) from error
    return {"decoder": checked.decoder, "learning_rate": checked.learning_rate, "seed": checked.seed}


def _allowed(spec: DecoderSpec, search: SearchConfig, frame_rate_hz: float) -> bool:
    limits = search.constraints
    return (
        limits.min_parameters <= spec.parameters <= (limits.max_parameters or math.inf)
        and spec.mflops(frame_rate_hz=frame_rate_hz) <= (limits.max_decoder_mflops or math.inf)
    )  # fmt: skip
