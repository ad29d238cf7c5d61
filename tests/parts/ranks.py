"""Processes that train together without a common agent, each running a few lines of code."""

from __future__ import annotations

import dataclasses
import os
import subprocess

from tests.parts.processes import free_port
from tests.parts.python import Python

CODE = """
import logging, sys
from problems.engine.runtime import distributed
logging.basicConfig(format="%(message)s")
with distributed.process_group(distributed.World.from_environment(), "cpu"):
{body}
"""


@dataclasses.dataclass
class Rank:
    """The end of one process."""

    code: int
    out: str
    err: str


def run_ranks(body: str, seconds: float = 60, count: int = 2) -> tuple[Rank, ...]:
    """Run ``body`` on two ranks, or ``count``; ``distributed`` is imported and the process group joined."""
    code = CODE.format(body="\n".join(f"    {line}" for line in body.splitlines()))
    group = {"WORLD_SIZE": str(count), "MASTER_PORT": str(free_port()), "OMP_NUM_THREADS": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    processes = [Python(["-c", code], env=os.environ | group | {"RANK": str(rank)}, **pipes) for rank in range(count)]
    try:
        outputs = [process.communicate(timeout=seconds) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return tuple(Rank(process.returncode, *output) for process, output in zip(processes, outputs))
