"""The one exception that means "the user can fix this": it is shown without a traceback."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class TinyTimbreError(Exception):
    """A mistake in what the user gave us, said in the four parts that let them mend it.

    Args:
        rule: what must hold ("a recording needs at least 0.5 s").
        got: the value that broke it ("take3.wav lasts 0.12 s").
        cause: the likely reason, if one is known.
        remedy: the way out.
    """

    def __init__(self, rule: str, *, got: str = "", cause: str = "", remedy: str = "") -> None:
        super().__init__(rule, got, cause, remedy)
        self.rule = rule
        self.got = got
        self.cause = cause
        self.remedy = remedy

    def __reduce__(self) -> tuple[Callable[..., TinyTimbreError], tuple[Any, ...]]:
        """Processes hand errors to each other; Python would call `__init__` with positional arguments."""
        return _rebuilt, (type(self), self.args, self.__dict__)

    def __str__(self) -> str:
        parts = [("", self.rule), ("got: ", self.got), ("likely cause: ", self.cause), ("way out: ", self.remedy)]
        return "\n  ".join(label + text for label, text in parts if text)


def _rebuilt(kind: type[TinyTimbreError], args: tuple[Any, ...], state: dict[str, Any]) -> TinyTimbreError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error
