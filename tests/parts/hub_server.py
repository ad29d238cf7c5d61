"""The part of the Hugging Face hub's interface that writes and reads models, on the loopback."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.server
import json
import re
import threading
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

TOKEN = "hf_of_the_tests"


class Hub(http.server.ThreadingHTTPServer):
    """Keeps repositories in memory.

    Attributes:
        url: the hub's endpoint.
        models: by name, the contents of the files by name.
        private: the names of those that were made so.
        requests: method and path of each request.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.models: dict[str, dict[str, bytes]] = {}
        self.private: set[str] = set()
        self.requests: list[tuple[str, str]] = []
        self.url = f"http://127.0.0.1:{self.server_port}"

    def commit_of(self, name: str) -> str:
        """The hash of a repository's last commit."""
        return hashlib.sha1(repr(sorted(self.models[name].items())).encode()).hexdigest()


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *words) -> None:
        pass

    def do_HEAD(self) -> None:
        self._read()

    def do_GET(self) -> None:
        self._read()

    def _read(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.server.requests.append((self.command, path))
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)(/.*)?", path):
            name, rest = match.groups()
            if name not in self.server.models:
                return self._refuse("RepoNotFound")
            files, commit = self.server.models[name], self.server.commit_of(name)
            if rest and rest.startswith("/tree/"):
                rows = [{"type": "file", "path": own, "size": len(c), "oid": _oid(c)} for own, c in files.items()]
                return self._answer(rows)
            return self._answer({"id": name, "sha": commit, "siblings": [{"rfilename": own} for own in files]})
        match = re.fullmatch(r"/([^/]+/[^/]+)/resolve/[^/]+/(.*)", path)
        name, file = match.groups() if match else ("", "")
        if name not in self.server.models:
            return self._refuse("RepoNotFound")
        content, commit = self.server.models[name].get(file), self.server.commit_of(name)
        if content is None:
            return self._refuse("EntryNotFound", commit)
        return self._send(200, content, {"ETag": f'"{_oid(content)}"', "X-Repo-Commit": commit})

    def do_POST(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.server.requests.append((self.command, path))
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if path == "/api/validate-yaml":
            return self._answer({"errors": [], "warnings": []})
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self._send(401, b"{}", {"X-Error-Message": "Invalid username or password."})
        if path == "/api/repos/create":
            wanted = json.loads(body)
            name = f"{wanted['organization']}/{wanted['name']}"
            if name in self.server.models:
                return self._send(409, json.dumps({"url": f"{self.server.url}/{name}"}).encode(), {})
            self.server.models[name] = {".gitattributes": b""}
            if wanted.get("private") or wanted.get("visibility") == "private":
                self.server.private.add(name)
            return self._answer({"url": f"{self.server.url}/{name}"})
        name = re.match(r"/api/models/([^/]+/[^/]+)/", path)[1]
        if "/preupload/" in path:
            rows = [
                {"path": own["path"], "uploadMode": "regular", "shouldIgnore": False}
                for own in json.loads(body)["files"]
            ]
            return self._answer({"files": rows})
        for line in map(json.loads, body.splitlines()):
            if line["key"] == "file":
                self.server.models[name][line["value"]["path"]] = base64.b64decode(line["value"]["content"])
        commit = self.server.commit_of(name)
        return self._answer({"commitUrl": f"{self.server.url}/{name}/commit/{commit}", "commitOid": commit})

    def _answer(self, value: object) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _refuse(self, code: str, commit: str = "") -> None:
        self._send(404, b"", {"X-Error-Code": code, "X-Repo-Commit": commit})

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _oid(content: bytes) -> str:
    """The name that git gives to a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@contextlib.contextmanager
def serving_hub() -> Iterator[Hub]:
    """Serve a hub for the length of a ``with`` block."""
    with Hub() as hub:
        thread = threading.Thread(target=hub.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield hub
        finally:
            hub.shutdown()
            thread.join()
