"""From an address to the storage behind it."""

from __future__ import annotations

import pathlib

from tinytimbre.storage.address import is_address
from tinytimbre.storage.contract import Storage
from tinytimbre.storage.folder import Folder
from tinytimbre.storage.objects import ObjectStore


def open_storage(place: str | pathlib.Path) -> Storage:
    """The storage at a path or an address; nothing is asked of an object store yet.

    Raises:
        StorageError: an address of an object store that is none.
    """
    if isinstance(place, str) and is_address(place):
        return ObjectStore(place)
    return Folder(place)
