"""Whole runs as processes of their own, several of them together by torchrun."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from problems.engine.report.history import TIMES, read_history
from tests.conftest import ROOT

PLAIN = [  # nothing random, so that a process more changes nothing but the order of sums
    "--build_downstream.conf.dropout=0", "--build_model.specaug=null", "--train.total_steps=50", "--train.log_step=1",
    "--train.eval_step=25", "--train.save_step=25", "--build_batch_sampler.train.batch_size=3",
    "--build_batch_sampler.valid.batch_size=2", "--build_batch_sampler.test.batch_size=1",
]  # fmt: skip


def launch(folder, options, *more, program=("-m", "problems.asr"), processes=0, restarts=0, **env):
    """Start a run: by torchrun where ``processes`` are given."""
    torchrun = [
        "-m",
        "torch.distributed.run",
        "--standalone",
        f"--nproc_per_node={processes}",
        f"--max_restarts={restarts}",
    ]
    command = [
        sys.executable,
        *(torchrun if processes else []),
        *program,
        "run",
        *options,
        f"--target_dir={folder}",
        *more,
    ]
    environment = os.environ | {"OMP_NUM_THREADS": "1"} | env
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def finish(process, code=0, seconds=120):
    out = process.communicate(timeout=seconds)[0]
    assert process.returncode == code, out[-4000:]
    return out


def options_of(tiny, *more):
    return [o for o in tiny if not o.startswith("--target_dir")] + [*PLAIN, *more]


def rows(folder, split):
    return [
        {k: v for k, v in r.items() if k not in TIMES} for r in read_history(folder / "train") if r["split"] == split
    ]


def result(folder):
    (path,) = (folder / "evaluate").glob("*/*/result.json")
    return json.loads(path.read_text())["metrics"], (path.parent / "predictions.csv").read_text()
