"""Two hosts, joined by a link of a chosen bandwidth: network namespaces of this machine. Needs root and iproute2.

    python benchmarks/two_hosts.py speed [--mbit 200] [--width 1500] [--steps 8] [-- WORD...]
    python benchmarks/two_hosts.py cut|kill [--mbit 200]

Each host has a target folder and a cache of its own, an agent of torchrun, and one process. ``speed`` trains an LSTM
and prints the seconds of a step, and those of the same training without a limit; the words after ``--`` are overrides,
such as ``--train.parallel=sum``. ``cut`` takes the link away for 20 s in the middle of a training. ``kill`` kills every
process of the second host, and starts its agent again after 10 s. Both compare the weights of each host with those of
an undisturbed training, byte for byte. Prints one JSON line.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

HOSTS = ("soundstage_a", "soundstage_b")
ADDRESSES = ("10.77.0.1", "10.77.0.2")
PORT = 29400


def ip(*words: str) -> None:
    """Call iproute2's ``ip``."""
    subprocess.run(["ip", *words], check=True)


@contextlib.contextmanager
def hosts(mbit: float | None) -> Iterator[None]:
    """Two namespaces, joined by a link that passes ``mbit`` Mbit/s in each direction; None: as fast as it can."""
    for host in HOSTS:
        subprocess.run(["ip", "netns", "del", host], stderr=subprocess.DEVNULL)
        ip("netns", "add", host)
    try:
        ip("link", "add", "link_a", "netns", HOSTS[0], "type", "veth", "peer", "name", "link_b", "netns", HOSTS[1])
        for host, address, link in zip(HOSTS, ADDRESSES, ("link_a", "link_b")):
            ip("-n", host, "addr", "add", f"{address}/24", "dev", link)
            for device in ("lo", link):
                ip("-n", host, "link", "set", device, "up")
            if mbit is not None:
                shape = ["root", "tbf", "rate", f"{mbit}mbit", "burst", "256kb", "latency", "100ms"]
                subprocess.run(["ip", "netns", "exec", host, "tc", "qdisc", "add", "dev", link, *shape], check=True)
        yield
    finally:
        for host in HOSTS:
            end_all(host)
            ip("netns", "del", host)


def end_all(host: str) -> None:
    """Kill every process of a host."""
    pids = subprocess.run(["ip", "netns", "pids", host], capture_output=True, text=True).stdout.split()
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)


def start(number: int, words: Sequence[str], folder: Path) -> subprocess.Popen:
    """Start the agent of a host; its output goes to ``log.txt`` in the host's folder."""
    own = folder / HOSTS[number]
    own.mkdir(exist_ok=True)
    agent = ["--nnodes=2", "--nproc_per_node=1", "--max_restarts=3", "--rdzv_backend=c10d", "--rdzv_id=two_hosts"]
    rendezvous = [f"--rdzv_endpoint={ADDRESSES[0]}:{PORT}", f"--local_addr={ADDRESSES[number]}"]
    if number == 0:
        rendezvous.append("--rdzv_conf=is_host=true")
    places = [f"--target_dir={own / 'run'}", f"--cache_dir={own / 'cache'}"]
    command = [sys.executable, "-m", "torch.distributed.run", *agent, *rendezvous, "-m", "problems.asr", "run"]
    environment = {
        "GLOO_SOCKET_IFNAME": ("link_a", "link_b")[number],
        "OMP_NUM_THREADS": "1",
        "GOMP_SPINCOUNT": "1000",
        "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1",  # else an agent that replaces another is never told where to connect
    }
    with open(own / "log.txt", "a") as log:
        return subprocess.Popen(
            ["ip", "netns", "exec", HOSTS[number], *command, *words, *places],
            cwd=ROOT,
            env=os.environ | environment,
            stdout=log,
            stderr=log,
        )


def wait_for_training(folder: Path, agents: Sequence[subprocess.Popen], seconds: float = 300) -> None:
    """Wait for the first line of the history."""
    history, deadline = folder / HOSTS[0] / "run" / "train" / "metrics.jsonl", time.monotonic() + seconds
    while not history.exists():
        if time.monotonic() > deadline or any(agent.poll() is not None for agent in agents):
            raise SystemExit((folder / HOSTS[0] / "log.txt").read_text()[-3000:])
        time.sleep(0.05)


def finish(agents: Sequence[subprocess.Popen], folder: Path, seconds: float = 600) -> None:
    """Wait for both agents."""
    for number, agent in enumerate(agents):
        if agent.wait(seconds):
            raise SystemExit((folder / HOSTS[number] / "log.txt").read_text()[-3000:])


def weights(folder: Path) -> list[str]:
    """A digest of the last weights of each host."""
    runs = [sorted((folder / host / "run" / "train").glob("step_*/model/*.safetensors"))[-1] for host in HOSTS]
    return [hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in runs]


def disturbed(kind: str, words: Sequence[str], root: Path) -> dict:
    """Figures of a training that is disturbed in the middle, beside one that is not."""
    digests, seconds = {}, {}
    for name in ("undisturbed", kind):
        folder, began = root / name, time.monotonic()
        folder.mkdir()
        agents = [start(number, words, folder) for number in (0, 1)]
        wait_for_training(folder, agents)
        if name == "cut":
            for up in ("down", "up"):
                ip("-n", HOSTS[0], "link", "set", "link_a", up)
                time.sleep(20 if up == "down" else 0)
        elif name == "kill":
            end_all(HOSTS[1])
            agents[1].wait()
            time.sleep(10)
            agents[1] = start(1, words, folder)
        finish(agents, folder)
        digests[name], seconds[name] = weights(folder), round(time.monotonic() - began, 1)
    every = {digest for own in digests.values() for digest in own}
    return {"what": kind, "seconds": seconds, "weights": digests, "equal": len(every) == 1}


def step_seconds(words: Sequence[str], folder: Path) -> float:
    """The seconds of a step, of the last half of a training."""
    folder.mkdir()
    agents = [start(number, words, folder) for number in (0, 1)]
    finish(agents, folder)
    rows = [json.loads(line) for line in (folder / HOSTS[0] / "run" / "train" / "metrics.jsonl").open()]
    speeds = [row["steps_per_second"] for row in rows if row["split"] == "train" and "steps_per_second" in row]
    half = speeds[len(speeds) // 2 :]
    return len(half) / sum(half) if half else float("nan")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=("speed", "cut", "kill"))
    parser.add_argument("--mbit", type=float, default=200)
    parser.add_argument("--width", type=int, default=1500)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("words", nargs="*")
    options = parser.parse_args()
    from tests.conftest import tiny_options, write_table, write_tones

    with tempfile.TemporaryDirectory(prefix="two hosts ") as folder:
        root = Path(folder)
        for seed, (name, count) in enumerate((("train", 22), ("valid", 5), ("test", 7))):
            write_table(root / f"{name}.csv", write_tones(root / name, count, seed))
        own = [word for word in tiny_options(root, root) if not word.startswith(("--target_dir", "--cache_dir"))]
        if options.what == "speed":
            size = [f"--build_downstream.conf.hidden_size=[{options.width}]", "--train.valid_metric=null"]
            length = [
                f"--train.total_steps={options.steps}",
                f"--train.save_step={options.steps}",
                "--train.log_step=1",
            ]
            words = [*own, *size, *length, "stop=2", *options.words]
            figures: dict = {"what": "speed", "mbit": options.mbit, "words": options.words}
            for name, mbit in (("limited_s", options.mbit), ("unlimited_s", None)):
                with hosts(mbit):
                    figures[name] = round(step_seconds(words, root / name), 3)
        else:
            longer = ["--train.total_steps=600", "--train.save_step=50", "--train.eval_step=300", "--train.log_step=10"]
            with hosts(options.mbit):
                figures = disturbed(options.what, [*own, *longer, "stop=2", *options.words], root)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
