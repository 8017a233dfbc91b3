"""Published models gathered to be passed on: the latest of each instrument, with what their recordings ask for.

    collect(["published", "workspaces/flute/models"], to="web/models")

A collection is laid out like any place of publishing, but holds one version an instrument, no sounds of the recordings,
and ``LICENCES.md``, which names everyone whose recordings a model learnt from. It can go into a repository.
"""

from __future__ import annotations

import pathlib
import re
from collections.abc import Sequence

from tinytimbre.durable import write_whole
from tinytimbre.errors import TinyTimbreError
from tinytimbre.export.card import without_samples
from tinytimbre.export.publish import CARD_FILE, INDEX_FILE, publish_alone, read_index
from tinytimbre.export.settings import BundleSettings, read_settings
from tinytimbre.markdown import markdown_table

LICENCES_FILE = "LICENCES.md"
# Whoever gives a work away so asks for no attribution; at the beginning, for it may be said of what lies underneath.
PUBLIC_DOMAIN = re.compile(r"(CC0|public domain|PDM|Unlicense)\b", re.IGNORECASE)


def collect(places: Sequence[str | pathlib.Path], *, to: str | pathlib.Path) -> list[pathlib.Path]:
    """Copies the latest model of every instrument; gives their folders.

    Everything is checked before anything is copied. Instruments that are there already and in no place stay.

    Raises:
        TinyTimbreError: a place holds no models, an instrument is in two, a model is damaged, or its recordings lack a
            licence or an attribution.
    """
    found = _latest([pathlib.Path(place) for place in places])
    for folder in found.values():
        _check_terms(read_settings(folder), folder)
    copied = [
        publish_alone(
            folder,
            card=without_samples((folder / CARD_FILE).read_text(encoding="utf-8")),
            to=pathlib.Path(to),
            instrument=instrument,
        )
        for instrument, folder in sorted(found.items())
    ]
    write_whole(pathlib.Path(to) / LICENCES_FILE, licences(pathlib.Path(to)).encode())
    return copied


def licences(place: pathlib.Path) -> str:
    """Text of ``LICENCES.md``: per instrument in the index of a place, the sources its model learnt from."""
    parts = ["# Licences", "The models in this folder learnt from these recordings; the recordings are not part of it."]
    for instrument, entry in sorted(read_index(place)["instruments"].items()):
        settings = read_settings(place / instrument / entry["latest"])
        rows = [(one.attribution or "none asked for", one.licence, one.source) for one in settings.data]
        parts += [f"## {instrument}", markdown_table(("whom to name", "licence", "source"), rows)]
    return "\n\n".join(parts) + "\n"


def _latest(places: Sequence[pathlib.Path]) -> dict[str, pathlib.Path]:
    found: dict[str, pathlib.Path] = {}
    for place in places:
        listed = read_index(place)["instruments"]
        if not listed:
            raise TinyTimbreError(
                f"models are gathered from places with an {INDEX_FILE}",
                got=f"{place} has none, or it lists nothing",
                remedy="give what `tinytimbre run --publish-to` or `tinytimbre publish` wrote to",
            )
        for instrument, entry in listed.items():
            if instrument in found:
                raise TinyTimbreError(
                    "an instrument can be gathered from one place only",
                    got=f"{instrument}, in {found[instrument].parent} and {place / instrument}",
                    remedy="leave one of them out",
                )
            found[instrument] = place / instrument / entry["latest"]
    return found


def _check_terms(settings: BundleSettings, folder: pathlib.Path) -> None:
    lacking = [
        f"{one.source or 'a source without a name'} has no {'licence' if not one.licence else 'attribution'}"
        for one in settings.data
        if not one.licence or not (one.attribution or PUBLIC_DOMAIN.match(one.licence))
    ]
    if lacking or not settings.data:
        raise TinyTimbreError(
            "a model can be passed on where licence and attribution of its recordings are known",
            got=f"{folder}: {'; '.join(lacking) or 'nothing is said about its recordings'}",
            remedy=(
                "fill in manifest.csv or attributions.csv beside the recordings (data/README.md), then run the sweep's "
                "command again: it trains nothing anew and publishes with them"
            ),
        )
