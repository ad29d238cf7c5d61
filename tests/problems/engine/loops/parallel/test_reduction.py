"""Gradients summed during the backward pass are those summed after it, whatever a process has or loses."""

from __future__ import annotations

import json

import pytest
import torch

from problems.engine.loops.parallel.reduction import SumAfterwards, SumInBackward, reduction_of
from problems.engine.loops.train import TrainLoop
from problems.engine.optim.scheduled_optimizer import OptimScheduler
from problems.engine.runtime.errors import ConfigError
from tests.parts.branches import branch_loop, weights
from tests.parts.ranks import run_ranks

TRAIN = """
import json, logging
import torch
from tests.parts.branches import branch_loop, weights
spoil = {spoil}
loop = branch_loop({folder!r}, spoil=spoil if distributed.world().rank == 1 else None, **{train})
loop.fit()
assert type(loop.reduction).__name__ == {kind!r}, loop.reduction
if distributed.world().main:
    torch.save(weights(loop), {folder!r} + "/weights.pt")
    progress = loop.progress
    print(json.dumps([progress.step, progress.out_of_memory, progress.errors, progress.nonfinite]))
same = distributed.gather(float(weights(loop).double().sum()))
assert len(set(same)) == 1, same
"""


def trained(folder, parallel="ddp", count=2, spoil=None, **train):
    """Train by several processes; the weights, and the counts of steps, of lost batches and of skipped steps."""
    folder.mkdir()
    kind = {"sum": "SumAfterwards", "ddp": "SumInBackward", "fsdp": "Sharding"}[parallel]
    body = TRAIN.format(folder=str(folder), spoil=spoil or {}, train=train | {"parallel": parallel}, kind=kind)
    ranks = run_ranks(body, count=count)
    assert all(rank.code == 0 for rank in ranks), ranks[0].err + ranks[1].err
    return torch.load(folder / "weights.pt"), json.loads(ranks[0].out)


@pytest.mark.parametrize(("count", "accumulate"), [(2, 1), (4, 1), (2, 2)])
def test_several_processes_learn_what_one_learns(tmp_path, count, accumulate):
    """37 utterances in batches of 4: in the last window of an epoch some processes have no batch of their own."""
    alone = branch_loop(tmp_path / "alone", gradient_accumulate=count * accumulate)
    alone.fit()
    together, counts = trained(tmp_path / "together", count=count, gradient_accumulate=accumulate)
    assert counts == [50, 0, 0, 0]
    torch.testing.assert_close(together, weights(alone), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "spoil", [{}, {3: "forward"}, {3: "nan"}, {3: "forward", 4: "nan", 5: "forward", 20: "forward"}], ids=str
)
def test_it_is_the_sum_after_the_backward_pass_to_the_last_bit(tmp_path, spoil):
    """Of two processes, whose sums do not depend on an order; with parts that no batch uses, or only some."""
    for accumulate in (1, 3):
        options = {"spoil": spoil, "gradient_accumulate": accumulate, "total_steps": 8}
        (after, counts), (during, same) = (
            trained(tmp_path / f"{accumulate}{parallel}", parallel, **options) for parallel in ("sum", "ddp")
        )
        assert torch.equal(after, during) and counts == same
        assert counts[1] == [*spoil.values()].count("forward")


def test_a_batch_that_fails_in_the_backward_pass_costs_its_step_and_the_training_goes_on(tmp_path):
    _, counts = trained(tmp_path / "lost", spoil={3: "backward"})
    assert counts == [50, 1, 0, 0]


def test_layers_that_are_released_during_the_training_are_summed_from_then_on(tmp_path):
    (after, _), (during, _) = (trained(tmp_path / p, p, released=3, total_steps=6) for p in ("sum", "ddp"))
    assert torch.equal(after, during)


class OwnBackward(TrainLoop):
    def backward(self, output, units):
        super().backward(output, units)


def losses_of_two(task):
    halves = [*task.parameters()][:2], [*task.parameters()][2:]
    return [OptimScheduler(torch.optim.SGD(half, lr=0.1), loss=name) for half, name in zip(halves, ("loss", "other"))]


@pytest.mark.parametrize(
    ("options", "reason"),
    [({"kind": OwnBackward}, "OwnBackward overrides backward"), ({"optimizers": losses_of_two}, "different losses")],
)
def test_what_the_reducer_cannot_do_is_summed_afterwards_or_refused(tmp_path, monkeypatch, caplog, options, reason):
    from problems.engine.runtime import distributed

    monkeypatch.setattr(distributed, "_world", distributed.World(0, 2))
    caplog.set_level("INFO")
    assert type(reduction_of(branch_loop(tmp_path, **options))) is SumAfterwards
    assert reason in caplog.text
    with pytest.raises(ConfigError, match=f"train.parallel ddp.*{reason}; use auto, or sum"):
        reduction_of(branch_loop(tmp_path, parallel="ddp", **options))
    assert type(reduction_of(branch_loop(tmp_path))) is SumInBackward
