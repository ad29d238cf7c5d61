"""Collectives: every process ends up with the same values, and one process alone needs no others."""

from __future__ import annotations

import ast
import datetime

import pytest
import torch

from dataset.storage.files import sweep
from problems.engine.runtime import distributed
from problems.engine.runtime.errors import PeerError
from tests.parts.processes import free_port
from tests.parts.ranks import run_ranks

COLLECTIVES = """
rank = distributed.world().rank
print(distributed.any(rank == 1), distributed.any(False), distributed.broadcast(f"from {rank}"),
      distributed.on_main(lambda: rank), distributed.gather(rank), distributed.total([rank, 1]))
if rank == 0:
    for stage in (2, 3, None):
        distributed.announce(stage)
else:
    print([distributed.next_stage() for _ in range(3)])
"""

GRADIENTS = """
import ast

import torch
rank = distributed.world().rank
a, b, unused = (torch.nn.Parameter(torch.zeros(2)) for _ in range(3))
a.grad = torch.full((2,), rank + 1.0)
if rank == 1:
    b.grad = torch.ones(2)
distributed.sum_gradients([a, b, unused])
print(a.grad.tolist(), b.grad.tolist(), unused.grad)
weights = torch.full((3,), float(rank))
distributed.broadcast_tensors([weights])
print(weights.tolist())
"""


def test_alone_every_collective_gives_back_what_it_got():
    assert distributed.world() == distributed.World()
    assert distributed.any(True) and not distributed.any(False)
    assert distributed.broadcast("x") == "x" and distributed.on_main(lambda: 3) == 3 and distributed.gather(1) == [1]
    assert distributed.total([1, 2]) == [1.0, 2.0]
    parameter = torch.nn.Parameter(torch.zeros(2))
    distributed.sum_gradients([parameter])
    assert parameter.grad is None


def test_two_processes_agree():
    main, other = run_ranks(COLLECTIVES)
    assert main.code == other.code == 0, main.err + other.err
    line = "True False from 0 0 [0, 1] [1.0, 2.0]\n"
    assert main.out == line and other.out == f"{line}[2, 3, None]\n"


@pytest.mark.parametrize("rank, reason", [(0, "1/3 clients joined"), (1, "has timed out after 1000ms")])
def test_a_process_whose_others_do_not_come_says_so(rank, reason, monkeypatch):
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", str(free_port()))
    monkeypatch.setattr(distributed, "JOIN", datetime.timedelta(seconds=1))
    with pytest.raises(PeerError, match=f"rank {rank} has waited 1.0 s for the 3 processes.*{reason}.*start all"):
        with distributed.process_group(distributed.World(rank, 3, rank), "cpu"):
            pass
    assert distributed.world() == distributed.World()


def test_a_gradient_that_one_process_lacks_counts_as_zero_and_one_that_all_lack_stays_none():
    for rank in run_ranks(GRADIENTS):
        assert rank.out == "[3.0, 3.0] [1.0, 1.0] None\n[0.0, 0.0, 0.0]\n", rank.err


def test_the_shares_of_all_processes_are_the_whole_once():
    items = list(range(11))
    shares = [distributed.World(rank, 3).share(items) for rank in range(3)]
    assert sorted(item for share in shares for item in share) == items
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    assert distributed.World().share(items) == items


def test_the_world_is_torchruns_or_the_callers(monkeypatch):
    assert distributed.World.from_environment(4, 3) == distributed.World(3, 4, 3)
    for name, value in (("WORLD_SIZE", "8"), ("RANK", "5"), ("LOCAL_RANK", "1")):
        monkeypatch.setenv(name, value)
    world = distributed.World.from_environment(4, 3)
    assert world == distributed.World(5, 8, 1) and not world.main and not world.writes
    assert distributed.World(5, 8, 0, shared=False).writes and not distributed.World(5, 8, 1, shared=False).writes


MARKERS = """
from pathlib import Path
folder = Path({folder!r})
def listed(values=(), waited=distributed.total):
    print([path.name for path in folder.iterdir()] if distributed.world().main and any(folder.iterdir()) else "")
    return waited(values)
distributed.total = listed
print(distributed.sees_main_files(folder))
"""


def test_the_marker_of_a_killed_process_is_swept(tmp_path):
    first, second = run_ranks(MARKERS.format(folder=str(tmp_path)))
    names = {name for line in first.out.splitlines() if line.startswith("[") for name in ast.literal_eval(line)}
    assert len(names) == 1 and "True" in first.out and "True" in second.out, first.err
    for name in names:
        (tmp_path / name).touch()
    sweep(tmp_path)
    assert not list(tmp_path.iterdir())
