"""Where trials and published models are kept: a folder, or a place in an object store.

    storage = open_storage("s3://bucket/trials")
    storage.write("1a2b/rung-0.json", content)
    with storage.lock("1a2b"):
        ...

A write is whole or not at all, and a lock has one holder in the world.
"""

from tinytimbre.storage.address import is_address, located
from tinytimbre.storage.contract import LostLockError, Storage, StorageError
from tinytimbre.storage.folder import Folder
from tinytimbre.storage.objects import ObjectStore
from tinytimbre.storage.opening import open_storage

__all__ = ["Folder", "LostLockError", "ObjectStore", "Storage", "StorageError", "is_address", "located", "open_storage"]
