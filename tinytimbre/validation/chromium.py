"""Headless Chromium visits a page of ours, which fetches what it needs from this process and posts what it finds.

    for message in visit("web/validation/page.html", folders={"web": WEB_DIR, "jobs": jobs}): ...

It needs nothing but the browser's executable, and ends with this process whatever happens.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import http.server
import json
import math
import os
import pathlib
import queue
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Generator, Iterator, Mapping
from typing import Any

VARIABLE = "CHROMIUM"
NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless=new",
    "--no-first-run",
    "--disable-background-networking",
    # Containers have little of it.
    "--disable-dev-shm-usage",
    # WebGL by software where there is no graphics card.
    "--enable-unsafe-swiftshader",
    "--autoplay-policy=no-user-gesture-required",
)
NO_SANDBOX = "CHROMIUM_NO_SANDBOX"
"""Variable for where Chromium cannot build its sandbox: as root it never can, in a container mostly not."""

PATIENCE_SECS = 300.0
POLL_SECS = 0.2
PR_SET_PDEATHSIG = 1
# Looked up here: between fork and exec nothing may wait for a lock that another thread held.
PRCTL = getattr(ctypes.CDLL(None), "prctl", None)
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript",
    ".json": "application/json",
    ".wasm": "application/wasm",
}


class BrowserError(Exception):
    """There is no browser, or it did not do its work; says why, as part of a sentence."""


def find_chromium() -> str | None:
    """The executable: the environment's CHROMIUM, or the first of the usual names on the path; None without one."""
    return os.environ.get(VARIABLE) or next(filter(None, map(shutil.which, NAMES)), None)


def visit(
    page: str, *, folders: Mapping[str, pathlib.Path], patience_secs: float = PATIENCE_SECS
) -> Generator[dict[str, Any], None, None]:
    """What the page posts to ``/found``, one JSON object after the other, until it posts ``{"done": true}``.

    Args:
        page: its path on the server: ``<name of a folder>/<file>``.
        folders: by the name under which the server shows them.
        patience_secs: longest time between two messages.

    Raises:
        BrowserError: no browser, it ended by itself, or it said nothing for too long.
    """
    executable = find_chromium()
    if executable is None:
        raise BrowserError(f"no Chromium here (apt-get install chromium, or {VARIABLE}=/path/to/it)")
    messages: queue.Queue[dict[str, Any]] = queue.Queue()
    with _served(folders, messages) as address, _launched(executable, f"{address}/{page}") as browser:
        while not (message := _next(messages, browser, patience_secs)).get("done"):
            yield message


def _next(
    messages: queue.Queue[dict[str, Any]], browser: subprocess.Popen[bytes], patience_secs: float
) -> dict[str, Any]:
    for _ in range(math.ceil(patience_secs / POLL_SECS)):
        with contextlib.suppress(queue.Empty):
            return messages.get(timeout=POLL_SECS)
        if browser.poll() is not None:
            raise BrowserError(f"Chromium ended by itself, with {browser.returncode}")
    raise BrowserError(f"Chromium said nothing for {patience_secs:g} s")


@contextlib.contextmanager
def _launched(executable: str, address: str) -> Iterator[subprocess.Popen[bytes]]:
    """The browser with a profile of its own; it is gone afterwards, with all its processes."""
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 or os.environ.get(NO_SANDBOX) else []
    with tempfile.TemporaryDirectory(prefix="tinytimbre-chromium-", ignore_cleanup_errors=True) as profile:
        command = [executable, *FLAGS, *sandbox, f"--user-data-dir={profile}", address]
        try:
            browser = subprocess.Popen(
                command,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                preexec_fn=_end_with_parent,
            )
        except OSError as error:
            raise BrowserError(f"{executable} cannot be started: {error.strerror or error}") from error
        try:
            yield browser
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(browser.pid, signal.SIGKILL)
            browser.wait()


def _end_with_parent() -> None:
    """A killed parent cannot stop the browser (Linux)."""
    if PRCTL is not None:
        PRCTL(PR_SET_PDEATHSIG, signal.SIGKILL)


@contextlib.contextmanager
def _served(folders: Mapping[str, pathlib.Path], messages: queue.Queue[dict[str, Any]]) -> Iterator[str]:
    handler = functools.partial(_Handler, folders=folders, messages=messages)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    def __init__(
        self,
        *args: Any,
        folders: Mapping[str, pathlib.Path],
        messages: queue.Queue[dict[str, Any]],
    ) -> None:
        self._folders, self._messages = folders, messages
        super().__init__(*args)

    def do_GET(self) -> None:
        """A file of one of the folders."""
        name, *inside = self.path.partition("?")[0].strip("/").split("/")
        file = self._folders[name].joinpath(*inside) if name in self._folders and ".." not in inside else None
        if file is None or not file.is_file():
            self.send_error(404)
            return
        data = file.read_bytes()
        self.send_response(200)
        self.send_header("Content-Type", TYPES.get(file.suffix, "application/octet-stream"))
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            self.wfile.write(data)

    def do_POST(self) -> None:
        """A message of the page."""
        self._messages.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""
