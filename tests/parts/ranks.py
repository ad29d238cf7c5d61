"""Processes that train together without a common agent, each running a few lines of code."""

from __future__ import annotations

import dataclasses
import os
import socket
import subprocess
import sys

from tests.conftest import ROOT

CODE = """
import logging, sys
from problems.engine.runtime import distributed
logging.basicConfig(format="%(message)s")
with distributed.process_group(distributed.World.from_environment(), "cpu"):
{body}
"""


@dataclasses.dataclass
class Rank:
    """How one process ended."""

    code: int
    out: str
    err: str


def run_ranks(body: str, seconds: float = 60) -> tuple[Rank, Rank]:
    """Run ``body`` on two ranks; ``distributed`` is imported and the process group joined."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code = CODE.format(body="\n".join(f"    {line}" for line in body.splitlines()))
    ranks = []
    for rank in (0, 1):
        environment = os.environ | {"WORLD_SIZE": "2", "RANK": str(rank), "MASTER_PORT": str(port)}
        ranks.append(
            subprocess.Popen(
                [sys.executable, "-c", code],
                cwd=ROOT,
                env=environment | {"OMP_NUM_THREADS": "1"},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    try:
        outputs = [process.communicate(timeout=seconds) for process in ranks]
    finally:
        for process in ranks:
            process.kill()
    first, second = (Rank(process.returncode, *output) for process, output in zip(ranks, outputs))
    return first, second
