"""One page in headless Chromium: the page posts what it found, the test gets it."""

from __future__ import annotations

import http.server
import json
import os
import pathlib
import queue
import shutil
import subprocess
import threading
from collections.abc import Mapping
from typing import Any

FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
    "--autoplay-policy=no-user-gesture-required", "--no-first-run", "--disable-background-networking",
)  # fmt: skip


def chromium() -> str | None:
    """The browser, None where there is none."""
    named = (shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome"))
    return os.environ.get("CHROMIUM") or next(filter(None, named), None)


def visit(page: str, *, files: Mapping[str, pathlib.Path], profile: pathlib.Path, timeout_secs: float) -> Any:
    """What the page sends with ``done(value)``; files are served by their path.

    Raises:
        AssertionError: the page said nothing in time, or ``done`` was given an error.
    """
    answers: queue.Queue[Any] = queue.Queue()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(_whole(page), files, answers))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/"
    browser = subprocess.Popen(
        [str(chromium()), *FLAGS, f"--user-data-dir={profile}", address],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        answer = answers.get(timeout=timeout_secs)
    finally:
        browser.kill()
        browser.wait()
        server.shutdown()
    assert "error" not in answer, answer["error"]
    return answer


def _whole(page: str) -> bytes:
    report = """
      const done = (value) => fetch('/done', { method: 'POST', body: JSON.stringify(value) });
      const failed = (error) => done({ error: String((error && error.stack) || error) });
      window.addEventListener('error', (event) => failed(event.message));
      window.addEventListener('unhandledrejection', (event) => failed(event.reason));
    """
    return f"<!doctype html><meta charset=utf-8><script>{report}</script>{page}".encode()


def _handler(
    page: bytes, files: Mapping[str, pathlib.Path], answers: queue.Queue[Any]
) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = files.get(self.path)
            data = page if self.path == "/" else path.read_bytes() if path else None
            self.send_response(200 if data is not None else 404)
            kinds = {"/": "text/html", ".js": "text/javascript", ".json": "application/json"}
            self.send_header("content-type", kinds.get(pathlib.Path(self.path).suffix or self.path, "text/plain"))
            self.end_headers()
            self.wfile.write(data or b"")

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            self.send_response(204)
            self.end_headers()
            answers.put(json.loads(body))

        def log_message(self, *_: Any) -> None:
            pass

    return Handler
