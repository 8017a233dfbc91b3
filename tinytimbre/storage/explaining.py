"""What the libraries of object stores raise, in words a user can act on and without what they may not see.

Messages of the libraries are not repeated: some hold ids of keys, signatures or signed addresses.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator

from tinytimbre.storage.address import ENDPOINT_VARIABLES, Address, endpoint
from tinytimbre.storage.contract import StorageError
from tinytimbre.storage.drivers import s3_code

CLIENTS = frozenset({"aiobotocore", "aiohttp", "botocore", "fsspec", "gcsfs", "google", "requests", "s3fs"})
NO_CREDENTIALS = frozenset({"NoCredentialsError", "PartialCredentialsError", "DefaultCredentialsError"})
REFUSED = frozenset({"ProfileNotFound", "RefreshError", "TokenRetrievalError", "401", "403"})
NETWORK = frozenset(
    {
        *("ConnectionClosedError", "ConnectionError", "ConnectTimeoutError", "EndpointConnectionError"),
        *("ClientConnectorDNSError", "ClientConnectorError", "ClientPayloadError", "FSTimeoutError", "HTTPClientError"),
        *("IncompleteRead", "ProxyConnectionError", "ProxyError", "ReadTimeoutError", "ResponseParserError"),
        *("ServerDisconnectedError", "ServerTimeoutError", "SSLError", "TimeoutError", "ConnectionTimeoutError"),
        *("ConnectionResetError", "ConnectionRefusedError", "ClientOSError", "SocketTimeoutError"),
    }
)
BUSY = frozenset({"SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", *map(str, range(500, 505))})


@contextlib.contextmanager
def explaining(address: Address) -> Iterator[None]:
    """Turns what a client raises into `StorageError`; faults of the program pass."""
    try:
        yield
    except StorageError:
        raise
    except Exception as error:
        if not isinstance(error, OSError) and type(error).__module__.partition(".")[0] not in CLIENTS:
            raise
        raise explained(error, address) from error


def explained(error: BaseException, address: Address) -> StorageError:
    """Rule, place, likely cause and way out for an error of a client."""
    words = {type(error).__name__, type(error.__cause__).__name__, s3_code(error), str(getattr(error, "code", ""))}
    where, told = _where(address), f"{address}: {_name(error)}"
    if "NoSuchBucket" in words or isinstance(error, FileNotFoundError):
        return StorageError(
            "the bucket must exist",
            got=f"{address}: no bucket {address.bucket} at {where}",
            cause=f"a misspelt name, or {_knob(address)} points elsewhere",
            remedy="make the bucket, or give another address",
        )
    if words & NO_CREDENTIALS:
        return _credentials(told, cause="none were found", address=address)
    if words & REFUSED or isinstance(error, PermissionError) or "Forbidden" in str(error)[:9]:
        return _credentials(told, cause="wrong or expired, or they may not read and write there", address=address)
    if words & NETWORK:
        return StorageError(
            "the object store must answer",
            got=f"{told} at {where}",
            cause=f"a network that is down or slow, or {_knob(address)} points elsewhere",
            remedy="check that the address can be reached from here, then run the same command again",
        )
    if words & BUSY or (isinstance(error, OSError) and error.errno in (errno.EBUSY, errno.EREMOTEIO)):
        return StorageError(
            "the object store must answer",
            got=f"{told} at {where}, again and again",
            cause="it is overloaded or being repaired",
            remedy="run the same command again later; what is done is kept",
        )
    return StorageError(
        "the object store must do as it is asked",
        got=f"{told} at {where}",
        cause="a store that does not know this request, or a policy of the bucket",
        remedy="see its own log for the time of this message",
    )


def _credentials(told: str, *, cause: str, address: Address) -> StorageError:
    google = "GOOGLE_APPLICATION_CREDENTIALS, or the service account of machine or pod"
    amazon = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or the role of machine or pod"
    return StorageError(
        "the object store must accept the credentials",
        got=told,
        cause=cause,
        remedy=f"give others: {google if address.scheme == 'gs' else amazon}",
    )


def _name(error: BaseException) -> str:
    """The store's own word, else the kind of error."""
    return s3_code(error) or str(getattr(error, "code", "") or type(error).__name__)


def _where(address: Address) -> str:
    return "Google" if address.scheme == "gs" else endpoint() or "Amazon"


def _knob(address: Address) -> str:
    return "STORAGE_EMULATOR_HOST" if address.scheme == "gs" else ENDPOINT_VARIABLES[-1]
