"""A model divided among processes learns what a whole one learns, and leaves checkpoints that any number takes up."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from problems.engine.checkpoints.store import damage, steps_in
from problems.engine.loops.parallel.sharding import sharding_of
from problems.engine.loops.state import training_state
from problems.engine.runtime import distributed
from problems.engine.runtime.errors import ConfigError
from tests.parts.branches import branch_loop
from tests.parts.least_squares import Fit, Points, loop_of
from tests.parts.ranks import run_ranks

TRAIN = """
from pathlib import Path
import torch
from problems.engine.checkpoints.store import steps_in
from problems.engine.checkpoints.weights import load_weights
from problems.engine.loops.state import training_state
from tests.parts.branches import branch_loop

folder, train = Path({folder!r}), {train}
loop = branch_loop(folder, uses_all=True, **train)
if steps_in(folder):
    checkpoint = steps_in(folder)[-1]
    load_weights(checkpoint, loop.task.model)
    loop.load_state_dict(training_state.read(checkpoint))
loop.fit()
if train["parallel"] == "fsdp":
    parts = sum(p.to_local().numel() for p in loop.task.parameters())
    whole = sum(p.numel() for p in loop.task.parameters())
    assert parts < 0.6 * whole, (parts, whole)
    state = loop.optimizers[0].optimizer.state
    assert all(s["momentum_buffer"].to_local().shape == p.to_local().shape for p, s in state.items() if s)
"""


def train(folder: Path, count: int, parallel: str = "fsdp", **options) -> None:
    folder.mkdir(exist_ok=True)
    body = TRAIN.format(folder=str(folder), train=options | {"parallel": parallel})
    ranks = run_ranks(body, count=count)
    assert all(rank.code == 0 for rank in ranks), "".join(rank.err[-3000:] for rank in ranks)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    newest = steps_in(folder)[-1]
    assert damage(newest) is None
    return load_file(newest / "weights.safetensors")


def assert_alike(one: Path, other: Path) -> None:
    expected, found = weights(one), weights(other)
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=0, atol=1e-6)
    first, second = (training_state.read(steps_in(folder)[-1]) for folder in (one, other))
    states = [s["optimizers"][0]["optimizer"]["state"] for s in (first, second)]
    assert states[0].keys() == states[1].keys()
    for number, state in states[0].items():
        torch.testing.assert_close(states[1][number]["momentum_buffer"], state["momentum_buffer"], rtol=0, atol=1e-6)


@pytest.mark.parametrize(("count", "options"), [(2, {"ema": 0.9}), (4, {}), (2, {"gradient_accumulate": 2})])
def test_divided_models_learn_what_a_whole_one_learns(tmp_path, count, options):
    whole = options | {"gradient_accumulate": count * options.get("gradient_accumulate", 1)}
    branch_loop(tmp_path / "whole", uses_all=True, **whole).fit()
    train(tmp_path / "divided", count, **options)
    assert_alike(tmp_path / "whole", tmp_path / "divided")


def test_a_checkpoint_is_taken_up_by_any_number_of_processes_divided_or_not(tmp_path):
    """Two processes, then four, then two of which each holds all: each step has the same four batches."""
    options = {"ema": 0.9, "eval_step": None, "save_step": None}
    branch_loop(tmp_path / "whole", uses_all=True, total_steps=9, gradient_accumulate=4, **options).fit()
    for steps, count, parallel in ((3, 2, "fsdp"), (6, 4, "fsdp"), (9, 2, "ddp")):
        train(tmp_path / "run", count, parallel, total_steps=steps, gradient_accumulate=4 // count, **options)
    assert [folder.name for folder in steps_in(tmp_path / "run")][-1] == "step_00000009"
    assert_alike(tmp_path / "whole", tmp_path / "run")


EVALUATED = """
import torch
from pathlib import Path
from tests.parts.branches import branch_loop

loop = branch_loop(Path({folder!r}), uses_all=True, parallel="fsdp", total_steps=2)
loop.validate = lambda: {{"loss": float(sum(loop.forward("valid", {{"index": torch.arange(3)}}).loss
                                          for _ in range(3 * (1 - distributed.world().rank))))}}
loop.train["eval_step"] = 1
loop.fit()
"""


def test_processes_may_evaluate_different_numbers_of_batches(tmp_path):
    """One evaluates three batches, the other none: nothing is put together batch by batch, which would wait forever."""
    ranks = run_ranks(EVALUATED.format(folder=str(tmp_path)))
    assert [rank.code for rank in ranks] == [0, 0], ranks[0].err + ranks[1].err


@pytest.mark.parametrize(
    ("options", "reason"),
    [({"skip_errors": True}, "skip_errors"), ({"compile": "inductor"}, "compile"), ({"sync_batchnorm": True}, "sync")],
)
def test_a_training_that_cannot_be_divided_is_refused(tmp_path, monkeypatch, options, reason):
    monkeypatch.setattr(distributed, "_world", distributed.World(0, 2))
    loop = loop_of(tmp_path, Fit(Points()), parallel="fsdp", **options)
    with pytest.raises(
        ConfigError, match=f"train.parallel fsdp: cannot be used here, as .*{reason}.*; use auto, or sum"
    ):
        sharding_of(loop)


def test_one_process_has_nothing_to_divide(tmp_path):
    loop = loop_of(tmp_path, parallel="fsdp", total_steps=2)
    loop.fit()
    assert loop.sharding is None
