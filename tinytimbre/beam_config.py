"""The key ``beam`` of a configuration: flags of Apache Beam for feature extraction. No influence on results."""

from __future__ import annotations

import re
from typing import Annotated

import pydantic

FLAG = re.compile(r"--(?P<name>[a-z][a-z0-9_]*)(?:=(?P<value>.+))?")
DOWNLOADING = ("direct", "switchingdirect")
"""Runners, in Beam's short form, that first try to fetch another one from the internet, and go on without a word."""


def check_flags(flags: tuple[str, ...]) -> tuple[str, ...]:
    """`flags` themselves, if each is one flag and none names a runner that downloads.

    Raises:
        ValueError: one is not.
    """
    for flag in flags:
        found = FLAG.fullmatch(flag)
        if found is None:
            raise ValueError(f"every flag of Beam is one text, --name or --name=value; got {flag!r}")
        if found["name"] == "runner" and _short(found["value"] or "") in DOWNLOADING:
            raise ValueError(f"{flag} would try to download another runner; leave it out, or use --runner=FnApiRunner")
    return flags


def _short(runner: str) -> str:
    """Beam takes a runner with or without the word, in any case, or by its path."""
    return runner.rpartition(".")[2].lower().removesuffix("runner")


BeamFlags = Annotated[tuple[str, ...], pydantic.AfterValidator(check_flags)]
