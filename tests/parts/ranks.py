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
    """How one process ended."""

    code: int
    out: str
    err: str


def run_ranks(body: str, seconds: float = 60) -> tuple[Rank, Rank]:
    """Run ``body`` on two ranks; ``distributed`` is imported and the process group joined."""
    code = CODE.format(body="\n".join(f"    {line}" for line in body.splitlines()))
    group = {"WORLD_SIZE": "2", "MASTER_PORT": str(free_port()), "OMP_NUM_THREADS": "1"}
    processes = [
        Python(["-c", code], env=os.environ | group | {"RANK": rank}, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for rank in "01"
    ]
    try:
        outputs = [process.communicate(timeout=seconds) for process in processes]
    finally:
        for process in processes:
            process.kill()
    first, second = (Rank(process.returncode, *output) for process, output in zip(processes, outputs))
    return first, second
