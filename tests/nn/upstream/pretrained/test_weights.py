"""Weights are downloaded once, resumed, checked, and requested by several processes at once."""

from __future__ import annotations

import hashlib
import http.server
import multiprocessing
import os
import re
import signal
import threading
import time

import pytest
import torch

from nn.upstream.pretrained import weights

BODY = bytes(range(256)) * 4000


class Server(http.server.BaseHTTPRequestHandler):
    """A file server that knows ranges and can break off: ``server.cut`` bytes at a time."""

    def do_GET(self):
        server, body = self.server, self.server.body
        server.requests.append(self.headers.get("Range"))
        start = 0
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if asked and self.headers.get("If-Range") == server.tag:
            start = int(asked[1])
        if server.status:
            self.send_error(server.status)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body) - start))
        self.send_header("ETag", server.tag)
        self.end_headers()
        end = len(body) if server.cut is None else min(len(body), start + server.cut)
        for at in range(start, end, 100_000):
            try:
                self.wfile.write(body[at : min(end, at + 100_000)])
            except BrokenPipeError:
                return
            time.sleep(server.slow)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch home"))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    served = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    vars(served).update(body=BODY, tag='"one"', cut=None, slow=0.0, status=None, requests=[])
    thread = threading.Thread(target=served.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    served.url = f"http://127.0.0.1:{served.server_port}/w.pth"
    served.path = tmp_path / "torch home" / "hub" / "checkpoints" / "w.pth"
    yield served
    served.shutdown()
    served.server_close()


def test_a_file_is_downloaded_once_and_its_digest_kept(server):
    assert weights.fetch(server.url, "w.pth") == server.path
    assert server.path.read_bytes() == BODY
    assert server.path.with_name("w.pth.sha256").read_text().strip() == hashlib.sha256(BODY).hexdigest()
    weights.fetch(server.url, "w.pth")
    assert server.requests == [None]
    assert {p.name for p in server.path.parent.iterdir()} <= {"w.pth", "w.pth.sha256", "w.pth.lock"}


def test_an_interrupted_download_resumes_where_it_ended(server):
    server.cut = 300_000
    weights.fetch(server.url, "w.pth")
    assert server.path.read_bytes() == BODY
    assert server.requests == [None, "bytes=300000-", "bytes=600000-", "bytes=900000-"]


def test_another_file_on_the_server_is_not_joined_to_the_old_part(server):
    server.path.parent.mkdir(parents=True)
    server.path.with_name("w.pth.partial").write_bytes(BODY[:50_000])
    server.path.with_name("w.pth.etag").write_text(server.tag)
    server.tag, server.body = '"two"', BODY[::-1]
    weights.fetch(server.url, "w.pth")
    assert server.path.read_bytes() == BODY[::-1]


def test_a_kill_leaves_what_the_next_one_goes_on_from(server):
    server.slow = 0.05
    context = multiprocessing.get_context("fork")
    child = context.Process(target=weights.fetch, args=(server.url, "w.pth"))
    child.start()
    part = server.path.with_name("w.pth.partial")
    for _ in range(200):
        if part.exists() and part.stat().st_size:
            break
        time.sleep(0.02)
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    assert not server.path.exists()
    server.slow = 0.0
    weights.fetch(server.url, "w.pth")
    assert server.path.read_bytes() == BODY
    assert re.fullmatch(r"bytes=[1-9]\d+-", server.requests[-1])


def test_a_server_that_sends_nothing_more_is_given_up(server):
    server.cut = 0
    with pytest.raises(ValueError, match="received 0 of 1024000 bytes"):
        weights.fetch(server.url, "w.pth")


def test_processes_that_ask_at_once_fetch_it_once(server):
    server.slow = 0.02
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=weights.fetch, args=(server.url, "w.pth")) for _ in range(3)]
    for child in children:
        child.start()
    for child in children:
        child.join(30)
    assert [child.exitcode for child in children] == [0, 0, 0]
    assert server.requests == [None] and server.path.read_bytes() == BODY


def test_a_file_that_changed_since_is_refused(server):
    weights.fetch(server.url, "w.pth")
    server.path.write_bytes(BODY[:-1] + b"x")
    with pytest.raises(ValueError, match="has changed since it was downloaded"):
        weights.fetch(server.url, "w.pth")


def test_a_file_that_torch_hub_downloaded_before_is_used(server):
    server.path.parent.mkdir(parents=True)
    server.path.write_bytes(BODY)
    assert weights.fetch(server.url, "w.pth") == server.path and not server.requests


@pytest.mark.parametrize("status", [404, 503])
def test_a_server_without_the_file_gives_an_error_with_the_remedy(server, status):
    server.status = status
    with pytest.raises(ValueError, match=f"cannot be downloaded.*{status}.*copy them to .*w.pth.*or to random"):
        weights.fetch(server.url, "w.pth")
    assert not server.path.exists()


def test_a_full_disk_is_reported_before_anything_is_written(server, monkeypatch):
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(weights.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(ValueError, match="need 1,024,000 bytes, 1,000 are free"):
        weights.fetch(server.url, "w.pth")
