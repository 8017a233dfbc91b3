"""Temporary files of a run lie in its workspace: what a killed run leaves is found there and removed by the next.

    with workspace.locked(), temporary_folder(workspace.temporary):
        ...                                  # TFX, Beam, TensorFlow and every process started from here write there

The sockets of `multiprocessing` stay in the system's folder, since their paths may have no more than 107 bytes and
not every disk can hold sockets. A link among the temporary files, named after the process, says where they are.
"""

from __future__ import annotations

import contextlib
import multiprocessing.util
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator

SOCKETS = "sockets-"


@contextlib.contextmanager
def temporary_folder(folder: pathlib.Path) -> Iterator[None]:
    """Sends temporary files of this process and of those it starts to `folder`, which is emptied before and after.

    Args:
        folder: of a workspace that this process holds.
    """
    sockets = pathlib.Path(multiprocessing.util.get_temp_dir())  # one a process, removed by itself when that ends
    _remove(folder)
    folder.mkdir(parents=True)
    (folder / f"{SOCKETS}{os.getpid()}").symlink_to(sockets)
    before = os.environ.get("TMPDIR"), tempfile.tempdir
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before[1]
        if before[0] is None:
            del os.environ["TMPDIR"]
        else:
            os.environ["TMPDIR"] = before[0]
        _remove(folder)


def _remove(folder: pathlib.Path) -> None:
    """With the sockets of processes that are gone; a copy of a workspace may name those of a living one."""
    for link in folder.glob(f"{SOCKETS}*"):
        if link.is_symlink() and not _is_alive(int(link.name.removeprefix(SOCKETS))):
            shutil.rmtree(link.readlink(), ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)


def _is_alive(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # somebody else's
    return True
