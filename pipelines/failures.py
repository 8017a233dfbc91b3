"""From whatever TFX, Beam or TensorFlow raise back to the message that the library meant."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator

from tinytimbre.errors import TinyTimbreError

# The last line of a traceback that another process sent as text, up to what Beam adds to it.
_REMOTE = re.compile(
    r"tinytimbre\.[\w.]+\.\w+: (?P<message>.+?)(?=\n\n|\n?\s*\[while running|\nTraceback|\Z)", re.DOTALL
)
_DAMAGED = ("file is not a database", "database disk image is malformed")
_FULL = ("no space left on device", "database or disk is full", "disk quota exceeded")


def as_user_error(error: BaseException) -> TinyTimbreError | None:
    """The user's error inside `error`; None where it is a fault of the program."""
    for cause in _chain(error):
        if isinstance(cause, TinyTimbreError):
            return cause
        if _disk_is_full(cause):
            return TinyTimbreError(
                "a sweep needs room on the disk",
                got=_telling_line(cause),
                cause="the disk is full",
                remedy="free some space and run the same command again; what is done is kept",
            )
        if isinstance(cause, OSError) and cause.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            return TinyTimbreError(
                "the files and folders of a command must be accessible",
                got=str(cause)[:300],
                cause="no permission, or a read-only disk",
                remedy="change owner or permissions, or choose another place",
            )
        if any(phrase in str(cause) for phrase in _DAMAGED):
            return TinyTimbreError(
                "metadata.sqlite of a workspace must be a whole database",
                got=next(phrase for phrase in _DAMAGED if phrase in str(cause)),
                cause="a copy that was cut short, or a damaged disk",
                remedy="delete metadata.sqlite and run again; trials, features and published models are kept",
            )
    found = [_REMOTE.search(str(cause)) for cause in _chain(error)]
    return next((_parsed(match["message"]) for match in found if match), None)


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__


def _disk_is_full(error: BaseException) -> bool:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    return any(phrase in str(error).lower() for phrase in _FULL)


def _telling_line(error: BaseException) -> str:
    """The line that names the full disk; Beam's messages bring whole tracebacks along."""
    lines = str(error).splitlines()
    return next((line.strip() for line in lines if any(phrase in line.lower() for phrase in _FULL)), str(error))[:300]


def _parsed(message: str) -> TinyTimbreError:
    """Inverse of ``str(TinyTimbreError)``."""
    parts = {"rule": "", "got": "", "likely cause": "", "way out": ""}
    current = "rule"
    for line in message.strip().splitlines():
        label = next((key for key in parts if line.strip().startswith(f"{key}: ")), None)
        current = label or current
        parts[current] += ("\n" if parts[current] else "") + line.strip().removeprefix(f"{current}: ")
    return TinyTimbreError(parts["rule"], got=parts["got"], cause=parts["likely cause"], remedy=parts["way out"])
