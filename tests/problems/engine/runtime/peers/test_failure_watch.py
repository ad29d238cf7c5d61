"""A process that fails ends the others, though no agent would: its error reaches them through the store."""

from __future__ import annotations

import re

import pytest

from problems.engine.runtime.errors import ConfigError
from tests.parts.ranks import run_ranks

FAILING = """
from problems.engine.runtime.errors import ConfigError
if distributed.world().rank == {failing}:
    raise ConfigError("broken on purpose")
{waiting}
"""


@pytest.mark.parametrize("failing", [0, 1])
@pytest.mark.parametrize("waiting", ["distributed.barrier()", "import time; time.sleep(30)"])
def test_a_failure_reaches_a_process_without_a_common_agent(failing, waiting):
    ranks = run_ranks(FAILING.format(failing=failing, waiting=waiting), seconds=40)
    other = ranks[1 - failing]
    assert other.code == ConfigError.exit_code, other.err
    assert f"rank {1 - failing} exits because rank {failing} failed: ConfigError: broken on purpose" in other.err


WAITING = """
import os, signal, threading, time
from problems.engine.runtime.peers import failure_watch
failure_watch.PATIENCE = 1
signal.signal(signal.SIGTERM, lambda *_: None)
if distributed.world().rank == 0:
    threading.Timer(1, os.kill, (os.getpid(), signal.SIGTERM)).start()
    distributed.barrier()
else:
    time.sleep({seconds})
    distributed.barrier()
"""


@pytest.mark.parametrize(("seconds", "code"), [(1.5, 0), (20, 143)])
def test_a_process_that_is_terminated_while_it_waits_ends_if_the_other_does_not_come(seconds, code):
    first, _ = run_ranks(WAITING.format(seconds=seconds), seconds=40)
    assert first.code == code, first.err
    assert ("rank 0 exits: a process it was waiting for has died" in first.err) == (code > 0)


KILLED = """
import os, signal
distributed.barrier()
if distributed.world().rank == {killed}:
    os.kill(os.getpid(), signal.SIGKILL)
{waiting}
"""
REDUCED = """
import torch
from torch.nn.parallel import DistributedDataParallel
model = DistributedDataParallel(torch.nn.Linear(2, 1))
for _ in range(100):
    model(torch.ones(1, 2)).sum().backward()
"""


@pytest.mark.parametrize("waiting", ["distributed.barrier()", REDUCED])
def test_a_process_that_loses_a_killed_one_says_so(waiting):
    first, _ = run_ranks(KILLED.format(killed=1, waiting=waiting), seconds=40)
    assert first.code == 1
    last = first.err.strip().splitlines()[-1]
    assert re.search(r"PeerError: rank 0 has lost another process of the run.*Connection (closed|reset) by peer", last)
