"""Settings that would do nothing beside the others: an error, since whoever wrote them expects them to do something.

Each check raises ValueError with what is ignored, why, and what to do, and is called by a validator of the section
that it looks at. The resolved configuration in a workspace names every key, so a value that equals its default is
never taken for one that was asked for; only of distillation it is known, by whether ``enabled`` is named.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tinytimbre.config import SearchConfig

KINDS = ("gru", "cnn")
Space = Mapping[str, Sequence[int | float | str]]


def check_search(search: SearchConfig) -> None:
    """Keys of a search that no configuration would use.

    Raises:
        ValueError: a section for decoders that are not searched, values that others replace everywhere, taps of
            convolutions where there is none, or a seed where nothing is drawn.
    """
    sections = {"gru": search.gru, "cnn": search.cnn}
    searched = [kind for kind in KINDS if kind in search.space.get("decoder", KINDS)]
    for kind, own in sections.items():
        _check_section(kind, own, searched=searched)
    for key in search.space:
        if searched and key != "kernel_size" and all(key in sections[kind] for kind in searched):
            others = " and ".join(f"search.{kind}" for kind in searched)
            raise ValueError(f"search.space.{key} is not used: it is in {others} too; remove one of them")
    _check_kernel_size(search.space, cnn=search.cnn, searched=searched)
    for number, point in enumerate(search.include, start=1):
        if "kernel_size" in point and (point["decoder"] == "gru" or not point.get("depth")):
            raise ValueError(
                f"the kernel_size of number {number} in search.include is not used: it has no convolution; remove it"
            )
    if search.method == "grid" and search.seed:
        raise ValueError("search.seed is not used by search.method 'grid', which draws nothing; remove one of them")


def _check_section(kind: str, own: Space, *, searched: Collection[str]) -> None:
    if own and kind not in searched:
        raise ValueError(
            f"search.{kind} is not used: search.space.decoder is {list(searched)}; add {kind!r} there or remove it"
        )
    if "decoder" in own:
        raise ValueError(f"search.{kind}.decoder is not used: the section is for that decoder; remove it")
    if kind == "gru" and "kernel_size" in own:
        raise ValueError("search.gru.kernel_size is not used: a GRU has no convolution; remove it")


def _check_kernel_size(space: Space, *, cnn: Space, searched: Collection[str]) -> None:
    depths = cnn.get("depth", space.get("depth", [0]))
    convolves = "cnn" in searched and any(depths)
    for place, section in (("space", space), ("cnn", cnn)):
        if "kernel_size" in section and not convolves:
            raise ValueError(
                f"search.{place}.kernel_size is not used: only a cnn with a depth above 0 has convolutions; give it "
                "one or remove the key"
            )
    if "kernel_size" in space and "kernel_size" in cnn:
        raise ValueError("search.space.kernel_size is not used: it is in search.cnn too; remove one of them")


def check_learning_rate(learning_rate: float, *, default: float, search: SearchConfig) -> None:
    """``training.learning_rate`` is for configurations that name none.

    Raises:
        ValueError: all do.
    """
    sections = {"gru": search.gru, "cnn": search.cnn}
    kinds = [kind for kind in KINDS if kind in search.space.get("decoder", KINDS)]
    named = "learning_rate" in search.space or all("learning_rate" in sections[kind] for kind in kinds)
    if learning_rate != default and named and all("learning_rate" in point for point in search.include):
        raise ValueError(
            "training.learning_rate is not used: every configuration of the search names its own; remove one of them"
        )


def check_distillation(given: Collection[str]) -> None:
    """Settings of a stage that nobody has switched on or off; `given` are the keys that were named.

    Raises:
        ValueError: there are some.
    """
    if given and "enabled" not in given:
        raise ValueError(
            f"distillation.{sorted(given)[0]} is not used while distillation is off; add enabled: true, or enabled: "
            "false to keep it for later"
        )


def check_tuning(tuning_steps: int, *, default: int, quantisations: Iterable[str], tuned: Collection[str]) -> None:
    """``export.tuning_steps`` is for quantisations that are fine-tuned.

    Raises:
        ValueError: none is.
    """
    if tuning_steps != default and set(tuned).isdisjoint(quantisations):
        raise ValueError(
            f"export.tuning_steps is not used: none of {', '.join(tuned)} is in export.quantisations; add one or "
            "remove the key"
        )


def check_promotion(eta: float, min_per_stratum: int, *, defaults: tuple[float, int], n_rungs: int) -> None:
    """``budget.eta`` and ``budget.min_per_stratum`` say who goes on to the next rung.

    Raises:
        ValueError: there is only one.
    """
    for key, value, default in zip(("eta", "min_per_stratum"), (eta, min_per_stratum), defaults, strict=True):
        if n_rungs == 1 and value != default:
            raise ValueError(
                f"budget.{key} is not used: budget.rung_steps has one rung, after which nobody is dropped; add another "
                "or remove it"
            )


def check_accelerators(accelerators: int, *, accelerator: str | None) -> None:
    """A number of accelerators goes with their name.

    Raises:
        ValueError: there is none.
    """
    if accelerators != 1 and accelerator is None:
        raise ValueError("accelerators is not used without accelerator; name it, such as nvidia.com/gpu, or remove it")
