"""Files that appear whole or not at all, and stay when the power goes.

Content is written beside its place, brought to the disk, and renamed: a reader sees the old file or the new one.

    write_whole(path, content)
    with replacing(path) as partial:
        np.savez(partial, ...)
"""

from __future__ import annotations

import contextlib
import errno
import os
import pathlib
import shutil
import uuid
from collections.abc import Iterator


def write_whole(path: pathlib.Path, content: bytes) -> None:
    """Replaces a file by `content`; its folder is made.

    Raises:
        OSError: it cannot be written; what was there before is untouched.
    """
    with replacing(path) as partial:
        partial.write_bytes(content)


@contextlib.contextmanager
def replacing(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A path to write a file to, in the same folder, which takes the place of `path` when all went well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Of its own for each writer, so that two of one file do not write into each other's. Processes in different
    # containers have the same ids.
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        yield partial
        sync(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def link_or_copy(source: pathlib.Path, target: pathlib.Path) -> None:
    """Puts a file at another place too, without a second copy where the file system can; its folder is made.

    Raises:
        OSError: it cannot be written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise
        with replacing(target) as partial:
            shutil.copyfile(source, partial)


def sync(path: pathlib.Path) -> None:
    """Brings a file's content, or a folder's list of names, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
