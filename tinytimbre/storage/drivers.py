"""What differs between object stores: how a client is made, and how an object is written under a condition.

Everything else is `fsspec`. The libraries read credentials from where each of them documents: environment, files of
their own, or the identity of the machine or pod.
"""

from __future__ import annotations

import importlib
from typing import Any, Protocol
from urllib.parse import quote

from tinytimbre.storage.address import ENDPOINT_VARIABLES, Address, endpoint
from tinytimbre.storage.contract import StorageError

CONNECT_SECS = 5.0
BODY_ATTEMPTS = 2
"""Of an answer that breaks off in the middle, which botocore does not repeat."""

LARGEST_PUT = 5 * 2**30
REFUSED = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey", "404", "409", "412"})
"""S3's words for: the object is not as the condition wants it, or another write of it was under way."""


class Driver(Protocol):
    """A client of one kind of object store.

    Attributes:
        fs: of `fsspec`; paths are bucket and key.
        version: name of the item in ``fs.info`` that is another one after every write.
        foreign: a version that no object has.
    """

    fs: Any
    version: str
    foreign: str

    def check(self, bucket: str) -> None:
        """One request that only a reachable bucket and accepted credentials answer."""

    def put(self, path: str, content: bytes, *, expected: str | None) -> str | None:
        """Writes if the object has the version `expected`, or is absent for None; gives the new version.

        None where the store refuses. Everything else is raised as the client does.
        """


class S3Driver:
    """Amazon S3 and what speaks like it."""

    version, foreign = "ETag", '"0"'

    def __init__(self, *, timeout_secs: float, attempts: int) -> None:
        # Threads of its own, and an event loop: made where it is used, never before a fork.
        self.fs = _library("s3fs", extra="").S3FileSystem(
            endpoint_url=endpoint(),
            use_listings_cache=False,
            skip_instance_cache=True,
            max_concurrency=1,  # s3fs would ask for the size before each read, to read in pieces
            config_kwargs={
                "connect_timeout": CONNECT_SECS,
                "read_timeout": timeout_secs,
                "retries": {"mode": "standard", "total_max_attempts": attempts},
            },
        )
        self.fs.retries = BODY_ATTEMPTS

    def check(self, bucket: str) -> None:
        """See `Driver`."""
        self.fs.call_s3("list_objects_v2", Bucket=bucket, MaxKeys=1)

    def put(self, path: str, content: bytes, *, expected: str | None) -> str | None:
        """See `Driver`."""
        condition = {"IfNoneMatch": "*"} if expected is None else {"IfMatch": expected}
        try:
            answer = self.fs.pipe_file(path, content, chunksize=LARGEST_PUT, **condition)
        except OSError as error:
            if s3_code(error) in REFUSED:
                return None
            raise
        return str(answer["ETag"])


class GcsDriver:
    """Google Cloud Storage."""

    version, foreign = "generation", "1"

    def __init__(self, *, timeout_secs: float, attempts: int) -> None:
        import aiohttp

        limits = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECS, sock_read=timeout_secs)
        # The class of the core: the package's own asks for the kind of each bucket by another protocol.
        self.fs = _library("gcsfs", extra="gcs").core.GCSFileSystem(
            requests_timeout=limits, use_listings_cache=False, skip_instance_cache=True
        )

    def check(self, bucket: str) -> None:
        """See `Driver`."""
        self.fs.call("GET", "b/{}/o", bucket, maxResults=1)

    def put(self, path: str, content: bytes, *, expected: str | None) -> str | None:
        """See `Driver`; ``ifGenerationMatch=0`` means absent."""
        bucket, key, _ = self.fs.split_path(path)
        try:
            answer = self.fs.call(
                "POST",
                f"{self.fs.base.replace('/storage/', '/upload/storage/')}b/{quote(bucket)}/o",
                uploadType="media",
                name=key,
                ifGenerationMatch=expected or "0",
                headers={"Content-Type": "application/octet-stream"},
                data=content,
                json_out=True,
            )
        except (FileExistsError, FileNotFoundError):
            return None
        return str(answer["generation"])


def make_driver(address: Address, *, timeout_secs: float, attempts: int) -> Driver:
    """The client for an address.

    Args:
        address: where to.
        timeout_secs: without a byte, after which a request is given up.
        attempts: of a request; gcsfs has its own number.

    Raises:
        StorageError: its library is not installed, or ``minio://`` without an endpoint.
    """
    if address.scheme == "gs":
        return GcsDriver(timeout_secs=timeout_secs, attempts=attempts)
    if address.scheme == "minio" and endpoint() is None:
        raise StorageError(
            "minio:// needs to know where the server is",
            got=f"{address} without {ENDPOINT_VARIABLES[-1]}",
            remedy=f"set {ENDPOINT_VARIABLES[-1]}, such as http://minio-service.kubeflow:9000",
        )
    return S3Driver(timeout_secs=timeout_secs, attempts=attempts)


def s3_code(error: BaseException) -> str:
    """S3's word for what went wrong, or the HTTP status; empty for an error of another kind."""
    answer = getattr(error, "response", None) or getattr(error.__cause__, "response", None)
    return str(answer.get("Error", {}).get("Code", "")) if isinstance(answer, dict) else ""


def _library(name: str, *, extra: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = f"'tinytimbre[{extra}]'" if extra else name
        raise StorageError(
            f"this kind of object store needs the package {name}",
            got="it is not installed" if error.name == name else f"{name} needs {error.name}, which is not installed",
            remedy=f"pip install {package}",
        ) from error
