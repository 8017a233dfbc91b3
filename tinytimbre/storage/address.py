"""Addresses of places in object stores: ``s3://bucket/path``, ``gs://bucket/path``, ``minio://bucket/path``."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re

from tinytimbre.storage.contract import StorageError

SCHEMES = ("s3", "gs", "minio")
ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
"""As botocore reads them, the first first."""

_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]")
# What every store and every client takes as it is; brackets, question marks and stars would be patterns.
_PATH = re.compile(r"[\w.+=@ /-]*")
_ENDPOINT = re.compile(r"https?://[^/@\s]+/?")


@dataclasses.dataclass(frozen=True)
class Address:
    """A place in an object store; ``path`` has no slash at its ends and is empty for a whole bucket."""

    scheme: str
    bucket: str
    path: str

    def __str__(self) -> str:
        return f"{self.scheme}://{self.bucket}/{self.path}".rstrip("/")


def is_address(place: str) -> bool:
    """Whether this means an object store (or tries to), not a path."""
    return "://" in place


def parse_address(text: str) -> Address:
    """Parts of an address.

    Raises:
        StorageError: it is none; what it said is repeated only if it can hold no password.
    """
    scheme, _, rest = text.partition("://")
    bucket, _, path = rest.partition("/")
    path = path.strip("/")
    if "@" in bucket:
        raise StorageError(
            "an address of an object store holds no credentials",
            got=f"{scheme}://…@…",
            remedy="give them in the environment: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        )
    bad_parts = {"", ".", ".."}.intersection(path.split("/")) if path else ()
    if scheme not in SCHEMES or not _BUCKET.fullmatch(bucket) or not _PATH.fullmatch(path) or bad_parts:
        raise StorageError(
            "a place in an object store is s3://, gs:// or minio://, a bucket and a path of letters, digits and .+=@_-",
            got=text,
            remedy="such as s3://my-bucket/tinytimbre/trials",
        )
    return Address(scheme, bucket, path)


def located(place: str) -> str:
    """An address as it is, a path as an absolute one.

    Raises:
        StorageError: see `parse_address`.
    """
    return str(parse_address(place)) if is_address(place) else str(pathlib.Path(place).resolve())


def endpoint() -> str | None:
    """Of a store that speaks S3 but is not Amazon's, from the environment; None for Amazon's own.

    Raises:
        StorageError: it is no URL.
    """
    found = next((os.environ[name] for name in ENDPOINT_VARIABLES if os.environ.get(name)), None)
    if found is not None and not _ENDPOINT.fullmatch(found):
        raise StorageError(
            f"{' or '.join(ENDPOINT_VARIABLES)} must be a URL without user and path",
            got="something else",
            remedy="such as http://minio-service.kubeflow:9000",
        )
    return found
