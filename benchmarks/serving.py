"""A model as a service under load, beside one-at-a-time prediction in the same process.

    python benchmarks/serving.py --problem asr --ckpt result/asr/toy AUDIO_FOLDER

Starts ``serve`` on loopback. Clients send the folder's files in turn; then, among them, bodies that are empty, corrupt
or too large, and one that stops; then SIGTERM comes while they ask. Prints one JSON line, with all statuses; 0 is
a connection that was refused.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as the command line sets it
import problems
from problems.engine.inference.recordings import recordings

HOSTILE = {"empty": b"", "corrupt": b"RIFF" + b"\xff" * 5000, "large": b"\0" * 3_000_000, "path": b"/etc/passwd"}
MAX_BYTES = 2_000_000


def ask(port: int, body: bytes) -> int:
    """The status of a request; 0 if the connection is refused, as by a service that has ended."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/predict", body, {"Content-Type": "audio/wav", "Connection": "close"}
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            json.load(answer)
            return answer.status
    except urllib.error.HTTPError as error:
        json.load(error)  # the reason
        return error.code
    except urllib.error.URLError as error:
        if isinstance(error.reason, (ConnectionRefusedError, BrokenPipeError)):
            return 0
        raise


def slow_client(port: int) -> bytes:
    """The answer to a client that stops in the middle of its body."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        headers = "Host: 127.0.0.1\r\nContent-Type: audio/wav\r\nContent-Length: 9999"
        client.sendall(f"POST /v1/predict HTTP/1.1\r\n{headers}\r\n\r\nRIFF".encode())
        return client.recv(1000)


def load(port: int, bodies: list[bytes], count: int, clients: int) -> tuple[list[int], list[float], float]:
    """The statuses and the times of ``count`` requests, and the seconds that all took."""
    statuses, times, numbers, lock = [], [], iter(range(count)), threading.Lock()

    def client() -> None:
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            began = time.perf_counter()
            status = ask(port, bodies[number % len(bodies)])
            with lock:
                statuses.append(status)
                times.append(time.perf_counter() - began)

    began = time.perf_counter()
    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return statuses, times, time.perf_counter() - began


def memory_mb(pid: int) -> float:
    """The resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def start(problem: str, ckpt: str, port: int) -> subprocess.Popen[bytes]:
    """The service, once it answers."""
    command = [sys.executable, "-m", f"problems.{problem}", "serve", "--ckpt", ckpt, "--port", str(port)]
    process = subprocess.Popen([*command, "--max_bytes", str(MAX_BYTES)], stderr=subprocess.PIPE)
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5)
            return process
        except urllib.error.URLError:
            if process.poll() is not None:
                raise SystemExit(process.stderr.read().decode()) from None
            time.sleep(0.2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problem", default="asr")
    parser.add_argument("--ckpt", required=True)
    parser.add_argument("--requests", type=int, default=500)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("folder")
    args = parser.parse_args()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    files = [own.source for own in recordings(args.folder)][:100]
    bodies = [Path(file).read_bytes() for file in files]
    bodies = [body for body in bodies if len(body) <= MAX_BYTES]
    model = problems.load(args.ckpt, device="cpu")
    list(model.predict(files[:5]))
    began = time.perf_counter()
    for number in range(args.requests):
        model.predict(files[number % len(files)])
    alone = args.requests / (time.perf_counter() - began)

    process = start(args.problem, args.ckpt, port)
    load(port, bodies, 50, args.clients)
    before = memory_mb(process.pid)
    statuses, times, seconds = load(port, bodies, args.requests, args.clients)
    mixed, _, _ = load(port, [*bodies[:12], *HOSTILE.values()], 160, args.clients)
    slow = slow_client(port).split(b"\r\n")[0].decode()
    after = memory_mb(process.pid)
    threading.Timer(0.5, lambda: process.send_signal(signal.SIGTERM)).start()
    ended, _, _ = load(port, bodies, 2000, args.clients)
    code = process.wait(60)
    ranked = sorted(times)
    print(
        json.dumps(
            {
                "benchmark": "serving",
                "requests": args.requests,
                "clients": args.clients,
                "requests_per_second": round(args.requests / seconds, 1),
                "one_at_a_time_per_second": round(alone, 1),
                "p50_ms": round(1000 * statistics.median(times), 1),
                "p95_ms": round(1000 * ranked[int(0.95 * len(ranked))], 1),
                "statuses": {str(own): statuses.count(own) for own in sorted(set(statuses))},
                "with_hostile": {str(own): mixed.count(own) for own in sorted(set(mixed))},
                "slow_client": slow,
                "sigterm_under_load": {str(own): ended.count(own) for own in sorted(set(ended))},
                "exit_code": code,
                "memory_mb": [round(before), round(after)],
            }
        )
    )


if __name__ == "__main__":
    main()
