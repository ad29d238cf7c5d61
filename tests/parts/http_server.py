"""An HTTP server on the loopback that sends parts of files, and fails as it is told to."""

from __future__ import annotations

import contextlib
import http.server
import re
import threading
from collections.abc import Iterator
from pathlib import Path


class Server(http.server.ThreadingHTTPServer):
    """Serves the files of a folder.

    Attributes:
        url: of the folder.
        failures: how the next GETs fail, first to last: "503", "403", "cut" (half of the bytes, then the connection is
            closed), "short" (half of the bytes, which is all that is announced), or "flip" (one bit is wrong).
        requests: method and range of each request.
        sends_parts: False for a server that sends whole files.
    """

    daemon_threads = True

    def __init__(self, folder: Path):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder, self.failures, self.requests, self.sends_parts = folder, [], [], True
        self.url = f"http://127.0.0.1:{self.server_port}"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer(is_head=True)

    def do_GET(self) -> None:
        self._answer(is_head=False)

    def log_message(self, *words) -> None:
        pass

    def _answer(self, is_head: bool) -> None:
        wanted = self.headers.get("Range") if self.server.sends_parts else None
        self.server.requests.append((self.command, wanted))
        failure = self.server.failures.pop(0) if self.server.failures and not is_head else ""
        path = self.server.folder / self.path.lstrip("/")
        if not path.is_file() or failure.isdigit():
            self._send(int(failure or 404), b"")
            return
        content, code = path.read_bytes(), 200
        if wanted:
            start, end = map(int, re.fullmatch(r"bytes=(\d+)-(\d+)", wanted).groups())
            content, code = content[start : end + 1], 206
            if not content:
                self._send(416, b"")
                return
        half = content[: len(content) // 2]
        if failure == "flip":
            content = bytes([content[0] ^ 1]) + content[1:]
        self._send(code, b"" if is_head else half if failure in ("cut", "short") else content, content, failure)

    def _send(self, code: int, body: bytes, announced: bytes | None = None, failure: str = "") -> None:
        self.send_response(code)
        length = len(body if announced is None or failure == "short" else announced)
        self.send_header("Content-Length", str(length))
        self.send_header("Accept-Ranges", "bytes")
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = failure == "cut"


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """Serve a folder for the length of a ``with`` block."""
    with Server(folder) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
