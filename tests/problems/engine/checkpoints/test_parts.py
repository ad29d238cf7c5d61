"""Parts of a checkpoint's weights in another model: what matches is taken, under its new name, and nothing else."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from problems.engine.checkpoints.parts import load_parts
from problems.engine.checkpoints.weights import save_weights
from problems.engine.runtime.errors import CheckpointError


def model(**parts: nn.Module) -> nn.ModuleDict:
    return nn.ModuleDict(parts)


@pytest.fixture
def saved(tmp_path):
    own = model(encoder=nn.Linear(3, 4), head=nn.Linear(4, 2))
    save_weights(tmp_path, own)
    return tmp_path, own


def test_patterns_choose_and_the_rest_stays(saved):
    folder, source = saved
    target = model(encoder=nn.Linear(3, 4), head=nn.Linear(4, 9))
    before = target.head.weight.clone()
    taken, left = load_parts(folder, target, ["encoder.*"])
    assert taken == ["encoder.bias", "encoder.weight"] and left == ["head.bias", "head.weight"]
    assert torch.equal(target.encoder.weight, source.encoder.weight) and torch.equal(target.head.weight, before)


def test_prefixes_are_replaced(saved):
    folder, source = saved
    target = model(upstream=model(first=nn.Linear(3, 4)), head=nn.Linear(4, 2))
    taken, _ = load_parts(folder, target, {"encoder.": "upstream.first.", "head.": "head."})
    assert taken == ["head.bias", "head.weight", "upstream.first.bias", "upstream.first.weight"]
    assert torch.equal(target.upstream.first.weight, source.encoder.weight)


@pytest.mark.parametrize(
    "parts, reason",
    [
        (["decoder.*"], "no weight matches 'decoder.*'; the checkpoint has encoder.bias"),
        (["encoder.*", "hea.*"], "no weight matches 'hea.*'"),
        ({"encoder.": "body."}, r"it has no \['body.bias', 'body.weight'\]"),
        (["head.*"], r"another shape of\s+\['head.bias', 'head.weight'\]"),
    ],
)
def test_what_does_not_fit_is_named(saved, parts, reason):
    target = model(encoder=nn.Linear(3, 4), head=nn.Linear(4, 9))
    state = {name: value.clone() for name, value in target.state_dict().items()}
    with pytest.raises(CheckpointError, match=reason):
        load_parts(saved[0], target, parts)
    assert all(torch.equal(value, state[name]) for name, value in target.state_dict().items()), "nothing was taken"
