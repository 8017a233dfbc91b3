"""Generated parts of a document that a person writes.

Everything between ``<!-- findings: NAME -->`` and ``<!-- /findings -->`` is the program's and is written anew each
time; the rest is left as it is.
"""

from __future__ import annotations

import pathlib
import re
from collections.abc import Mapping

from tinytimbre.durable import write_whole
from tinytimbre.errors import TinyTimbreError

BLOCK = re.compile(r"(?P<start><!-- findings: (?P<name>[a-z-]+) -->\n)(?P<body>.*?)(?P<end><!-- /findings -->)", re.S)


def refreshed(text: str, blocks: Mapping[str, str], *, origin: str) -> str:
    """The document with every marked part replaced.

    Raises:
        TinyTimbreError: it has no marked part, or one that nothing is generated for.
    """
    names = [found["name"] for found in BLOCK.finditer(text)]
    unknown = [name for name in names if name not in blocks]
    if not names or unknown:
        raise TinyTimbreError(
            "a document needs marked parts that findings are generated for",
            got=f"{origin}: {', '.join(unknown) if unknown else 'none'}",
            remedy=f"write <!-- findings: NAME --> and <!-- /findings --> around them; names: {', '.join(blocks)}",
        )
    return BLOCK.sub(lambda found: f"{found['start']}{blocks[found['name']].strip()}\n{found['end']}", text)


def refresh(path: pathlib.Path, blocks: Mapping[str, str]) -> None:
    """As `refreshed`, in place."""
    write_whole(path, refreshed(path.read_text(encoding="utf-8"), blocks, origin=str(path)).encode())


def skeleton(title: str, headings: Mapping[str, str], *, pictures: Mapping[str, tuple[str, str]]) -> str:
    """A document to begin with: per block a heading, its picture (name, file) if it has one, an empty marked part."""
    parts = [f"# {title}"]
    for name, heading in headings.items():
        parts.append(f"## {heading}")
        parts += [f"![{pictures[name][0]}]({pictures[name][1]})"] if name in pictures else []
        parts.append(f"<!-- findings: {name} -->\n<!-- /findings -->")
    return "\n\n".join(parts) + "\n"
