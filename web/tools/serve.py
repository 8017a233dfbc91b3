"""Serves the demonstration page with the models at hand: static files, right types, a strict policy.

    python web/tools/serve.py --models published [--port 8000]

The page needs nothing more of a server than this; any static host will do.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import http.server
import pathlib
import sys
from typing import ClassVar

WEB = pathlib.Path(__file__).resolve().parent.parent
TYPES = {
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".wasm": "application/wasm",
    ".bin": "application/octet-stream",
}
# As in index.html; as a header it also holds for the worklet, and forbids framing.
POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Handler(http.server.SimpleHTTPRequestHandler):
    """Files of ``web/``; ``/models/`` is another folder."""

    # Connections stay open: a page asks for a dozen small files.
    protocol_version = "HTTP/1.1"
    extensions_map: ClassVar[dict[str, str]] = {**http.server.SimpleHTTPRequestHandler.extensions_map, **TYPES}

    def __init__(self, *args: object, models: pathlib.Path, policy: str | None = POLICY, **kwargs: object) -> None:
        self._models, self._policy = models, policy
        super().__init__(*args, directory=str(WEB), **kwargs)  # type: ignore[arg-type]

    def handle(self) -> None:
        """Answers until the browser hangs up, however it does that."""
        with contextlib.suppress(ConnectionError):
            super().handle()

    def translate_path(self, path: str) -> str:
        """The file for a request."""
        inside = pathlib.Path(super().translate_path(path)).relative_to(WEB)
        if inside.parts[:1] == ("models",):
            return str(self._models.joinpath(*inside.parts[1:]))
        return str(WEB / inside)

    def end_headers(self) -> None:
        """Adds what every answer carries."""
        if self._policy:
            self.send_header("Content-Security-Policy", self._policy)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Quiet: errors are in the browser's console."""


def server(models: pathlib.Path, *, port: int, policy: str | None = POLICY) -> http.server.ThreadingHTTPServer:
    """A server on localhost; port 0 is any free one."""
    handler = functools.partial(Handler, models=models, policy=policy)
    return http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)


def main() -> int:
    """Serves until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=pathlib.Path, default=WEB / "models", help="folder with index.json")
    parser.add_argument("--port", type=int, default=8000)
    arguments = parser.parse_args()
    models = arguments.models.resolve()
    if not (models / "index.json").is_file():
        print(
            f"No models in {models}: it must hold index.json, as `tinytimbre run --publish-to` writes it.\n"
            "Way out: make demo, or give the folder you published to: make web PUBLISHED=...",
            file=sys.stderr,
        )
        return 2
    try:
        with server(models, port=arguments.port) as running:
            print(f"http://localhost:{running.server_address[1]}/", flush=True)
            running.serve_forever()
    except KeyboardInterrupt:
        return 0
    except OSError as error:
        print(f"Cannot listen on port {arguments.port}: {error.strerror}. Way out: make web PORT=8001", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
