"""A first look at the recordings folder: cheap, before anything heavy is imported."""

from __future__ import annotations

import dataclasses
import hashlib
import pathlib
from collections.abc import Sequence

from tinytimbre.audio.attributions import find_attributions
from tinytimbre.audio.scan import find_manifest, scan_recordings


@dataclasses.dataclass(frozen=True)
class Inventory:
    """What lies in the folder; ``digest`` changes when a file is added, removed, renamed or touched."""

    digest: str
    instruments: tuple[str, ...]
    n_files: int
    n_bytes: int


def take_inventory(folder: pathlib.Path, *, instruments: Sequence[str] = ()) -> Inventory:
    """Lists the files of the wanted instruments, without reading them.

    Raises:
        TinyTimbreError: no such folder, no audio in it, a broken manifest, an instrument that is not there.
    """
    files = scan_recordings(folder, instruments=instruments)
    digest = hashlib.sha256()
    beside = {path for path in (find_manifest(folder), find_attributions(folder)) if path}
    paths = sorted({file.path for file in files if file.path.is_file()} | beside)
    n_bytes = 0
    for path in paths:
        stat = path.stat()
        n_bytes += stat.st_size
        digest.update(f"{path.relative_to(folder)}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
    usable = {file.instrument for file in files if file.problem is None or not file.problem.fatal}
    return Inventory(digest.hexdigest()[:16], tuple(sorted(usable)), len(files), n_bytes)
