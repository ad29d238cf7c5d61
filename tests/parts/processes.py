"""Whole runs as processes of their own, several of them together by torchrun."""

from __future__ import annotations

import json
import os
import socket
import subprocess

from problems.engine.report.history import TIMES, read_history
from tests.conftest import ROOT
from tests.parts.python import Python

PLAIN = [  # nothing random, so that a process more changes nothing but the order of sums
    "--build_downstream.conf.dropout=0", "--build_model.specaug=null", "--train.total_steps=50", "--train.log_step=1",
    "--train.eval_step=25", "--train.save_step=25", "--build_batch_sampler.train.batch_size=3",
    "--build_batch_sampler.valid.batch_size=2", "--build_batch_sampler.test.batch_size=1",
]  # fmt: skip


PROGRAM = ("-m", "problems.asr")


def launch(folder, options, *more, program=PROGRAM, processes=0, restarts=0, **env):
    """Start a run; in several processes by torchrun, if ``processes`` is given."""
    torchrun = [
        "-m",
        "torch.distributed.run",
        "--standalone",
        f"--nproc_per_node={processes}",
        f"--max_restarts={restarts}",
    ]
    words = [*(torchrun if processes else []), *program, "run", *options, f"--target_dir={folder}", *more]
    return start(words, **env)


def launch_ranks(folders, options, *more, program=PROGRAM, **env):
    """Start a run in one process for each target folder, as a cluster does without torchrun."""
    group = {"WORLD_SIZE": str(len(folders)), "MASTER_PORT": str(free_port())}
    return [
        start([*program, "run", *options, f"--target_dir={folder}", *more], **env, **group, RANK=str(rank))
        for rank, folder in enumerate(folders)
    ]


def free_port() -> int:
    """A TCP port that no process uses."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def start(words, cwd=ROOT, **env):
    """Start a Python process with one thread; its output is to be read with :func:`finish`."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"} | env
    return Python(words, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def finish(process, code=0, seconds=120):
    out = process.communicate(timeout=seconds)[0]
    assert process.returncode == code, out[-4000:]
    return out


def finish_ranks(processes):
    """Wait for all processes of a run; return what the first printed."""
    return [finish(process) for process in processes][0]


def options_of(tiny, *more):
    return [o for o in tiny if not o.startswith("--target_dir")] + [*PLAIN, *more]


def rows(folder, split):
    return [
        {k: v for k, v in r.items() if k not in TIMES} for r in read_history(folder / "train") if r["split"] == split
    ]


def result(folder):
    (path,) = (folder / "evaluate").glob("*/*/result.json")
    return json.loads(path.read_text())["metrics"], (path.parent / "predictions.csv").read_text()
