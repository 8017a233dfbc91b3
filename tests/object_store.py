"""Object stores on real sockets: one that speaks S3, with failures on demand, and one that speaks Google's protocol.

    with ObjectServer() as server:
        server.make_bucket("trials")
        server.fault = lambda request: "503" if request.method == "PUT" else None

Both are servers of others: Moto's, behind a layer of WSGI, and gcp-storage-emulator.
"""

from __future__ import annotations

import contextlib
import dataclasses
import http
import io
import re
import socket
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from typing import Any

GOOGLE_BUCKET = "tests"
KEY_ID, SECRET = "tests", "no-secret-at-all-0123456789"
Answer = Iterable[bytes]
Fault = Callable[["Request"], str | None]
ERROR = '<?xml version="1.0"?><Error><Code>{code}</Code><Message>said by the tests</Message></Error>'


@dataclasses.dataclass(frozen=True)
class Request:
    """One request: its number from 0, method, path and condition ("" for none)."""

    number: int
    method: str
    path: str
    condition: str


def always(kind: str) -> Fault:
    """All requests fail alike."""
    return lambda _: kind


class ObjectServer:
    """A server in threads of this process.

    Attributes:
        url: of the server.
        log: requests so far, of all clients.
        fault: what becomes of a request. "503": refused; "403": credentials are not accepted; "drop": the connection
            ends before anything is done; "lost": it is done, then the connection ends; "cut": half of the answer's
            body; a number: it is done, but the answer waits for so many seconds. None: nothing special.
        ignores_conditions: like a store that does not know them.
    """

    def __init__(self) -> None:
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
        from werkzeug.serving import WSGIRequestHandler, make_server

        class Quiet(WSGIRequestHandler):
            protocol_version = "HTTP/1.1"

            def log(self, type: str, message: str, *args: object) -> None:
                pass

        self.log: list[Request] = []
        self.fault: Fault | None = None
        self.ignores_conditions = False
        self._app = DomainDispatcherApplication(create_backend_app)
        self._turn = threading.Lock()
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True, request_handler=Quiet)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> ObjectServer:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()

    def make_bucket(self, name: str) -> None:
        """Makes a bucket."""
        key = (
            f"AWS4-HMAC-SHA256 Credential={KEY_ID}/20200101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
        )
        request = urllib.request.Request(f"{self.url}/{name}", method="PUT", headers={"Authorization": key})
        urllib.request.urlopen(request).close()

    def calm(self) -> None:
        """No faults, nothing logged."""
        self.fault, self.ignores_conditions = None, False
        self.log.clear()

    def _answer(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Answer:
        condition = environ.get("HTTP_IF_MATCH", environ.get("HTTP_IF_NONE_MATCH", ""))
        request = Request(len(self.log), environ["REQUEST_METHOD"], environ["PATH_INFO"], condition)
        self.log.append(request)
        fault = self.fault(request) if self.fault else None
        known = re.search(f"Credential={KEY_ID}/", environ.get("HTTP_AUTHORIZATION", ""))
        if fault == "403" or not known:
            return _refused(environ, start_response, "403 Forbidden", "InvalidAccessKeyId")
        if fault == "503":
            return _refused(environ, start_response, "503 Service Unavailable", "ServiceUnavailable")
        if fault == "drop":
            return _broken_off(environ)
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        found = self._done({**environ, "wsgi.input": io.BytesIO(body)})
        if fault == "lost":
            return _broken_off(environ)
        if fault == "cut":
            environ["werkzeug.socket"].sendall(_half(found))
            return _broken_off(environ)
        if fault is not None:
            time.sleep(float(fault))
        start_response(*found[:2])
        return [found[2]]

    def _done(self, environ: dict[str, Any]) -> tuple[str, list[tuple[str, str]], bytes]:
        """Moto's answer. It looks at a condition and then writes; in S3, both is one."""
        if self.ignores_conditions:
            environ = {name: value for name, value in environ.items() if not name.startswith("HTTP_IF_")}
        told: list[Any] = []
        with self._turn:
            body = b"".join(self._app(environ, lambda *status: told.extend(status[:2])))
        return told[0], told[1], body


def _refused(environ: dict[str, Any], start_response: Callable[..., Any], status: str, code: str) -> Answer:
    content = ERROR.format(code=code).encode()
    start_response(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(content)))])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [content]


def _broken_off(environ: dict[str, Any]) -> Answer:
    environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
    raise ConnectionResetError


def _half(found: tuple[str, list[tuple[str, str]], bytes]) -> bytes:
    """Of an answer: its head, which promises more than what follows."""
    status, headers, body = found
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers if name.lower() != "content-length")]
    lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body[: len(body) // 2]


@contextlib.contextmanager
def google_server() -> Iterator[str]:
    """URL of a server with an empty `GOOGLE_BUCKET`. The emulator knows no conditions of uploads: they are added."""
    from gcp_storage_emulator.handlers import objects
    from gcp_storage_emulator.server import create_server

    upload = objects._media_upload

    def conditional(request: Any, response: Any, storage: Any) -> None:
        wanted = request.query.get("ifGenerationMatch", [None])[0]
        found = storage.objects.get(request.params["bucket_name"], {}).get(request.query["name"][0])
        if wanted in (None, found["generation"] if found else "0"):
            upload(request, response, storage)
        else:
            response.status = http.HTTPStatus.PRECONDITION_FAILED

    server = create_server("127.0.0.1", 0, in_memory=True, default_bucket=GOOGLE_BUCKET)
    objects._media_upload = conditional
    with server:
        yield f"http://127.0.0.1:{server._api._httpd.server_port}"
    objects._media_upload = upload
