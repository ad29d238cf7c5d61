"""Optimizers: by name, in groups, several at once; against the same thing written by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from problems.engine.optim import optimizers
from problems.engine.optim.named_parameters import NamedParameters
from problems.engine.runtime.errors import ConfigError

SECTION = {
    "name": "AdamW", "conf": {"lr": 0.1, "weight_decay": 0.5}, "groups": None, "no_decay_on_vectors": False,
    "lr_factor": 1.0, "updated_modules": None, "optim_loss": None, "step_per_update": 1, "optimizers": None,
}  # fmt: skip


class Pair(nn.Module):
    """A task's shape: everything stands under ``model``."""

    def __init__(self):
        super().__init__()
        self.model = nn.ModuleDict({"upstream": nn.Linear(3, 3), "downstream": nn.Linear(3, 2)})


def named(task=None):
    return NamedParameters((task or Pair()).named_parameters())


def groups_of(section):
    task = Pair()
    made = optimizers.build_optimizer(SECTION | section, named(task))
    names = {p: n.removeprefix("model.") for n, p in task.named_parameters()}
    return [
        {**{k: g[k] for k in ("lr", "weight_decay")}, "of": [names[p] for p in g["params"]]} for g in made.param_groups
    ]


def test_a_separate_rate_for_the_upstream():
    first, second = groups_of({"groups": {"upstream": {"lr": 1e-3}}})
    assert first == {"lr": 1e-3, "weight_decay": 0.5, "of": ["upstream.weight", "upstream.bias"]}
    assert second == {"lr": 0.1, "weight_decay": 0.5, "of": ["downstream.weight", "downstream.bias"]}


def test_no_decay_on_vectors_keeps_their_rate():
    found = groups_of({"groups": {"up*": {"lr": 1e-3}}, "no_decay_on_vectors": True})
    assert [(g["lr"], g["weight_decay"], g["of"]) for g in found] == [
        (1e-3, 0.5, ["upstream.weight"]),
        (1e-3, 0.0, ["upstream.bias"]),
        (0.1, 0.5, ["downstream.weight"]),
        (0.1, 0.0, ["downstream.bias"]),
    ]


def test_a_module_inside_a_module_comes_before_it():
    first, second, third = groups_of({"groups": {"upstream": {"lr": 1e-3, "bias": {"lr": 1e-4}}}})
    assert (first["lr"], first["of"]) == (1e-3, ["upstream.weight"])
    assert (second["lr"], second["of"]) == (1e-4, ["upstream.bias"])
    assert third["lr"] == 0.1


def test_lr_factor_scales_every_rate():
    rates = [g["lr"] for g in groups_of({"groups": {"upstream": {"lr": 1e-3}}, "lr_factor": 0.5})]
    assert rates == [5e-4, 0.05]


def test_frozen_parameters_are_not_in_the_optimizer():
    task = Pair()
    task.model["upstream"].requires_grad_(False)
    made = optimizers.build_optimizer(SECTION, task.parameters())
    assert sum(p.numel() for g in made.param_groups for p in g["params"]) == 8
    task.requires_grad_(False)
    with pytest.raises(ConfigError, match="is everything frozen"):
        optimizers.build_optimizer(SECTION, task.parameters())


def test_fused_optimizers_only_where_they_may_leave_out_a_step():
    from problems.engine.optim.optimizers import _may_fuse

    class OnGPU(torch.nn.Parameter):
        is_cuda = True

    gpu = [OnGPU(torch.zeros(2))]
    assert _may_fuse(torch.optim.Adam, [{"lr": 1.0}], gpu) and _may_fuse(torch.optim.SGD, [{"lr": 1.0}], gpu)
    assert not _may_fuse(torch.optim.SGD, [{"momentum": 0.9}], gpu)
    assert not _may_fuse(torch.optim.SGD, [{}, {"momentum": 0.9}], gpu)
    assert not _may_fuse(torch.optim.Adam, [{"foreach": True}], gpu)
    assert not _may_fuse(torch.optim.Adam, [{}], [torch.nn.Parameter(torch.zeros(2))])


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"name": "AdamM"}, "unknown name 'AdamM'.*Adam"),
        ({"conf": {"lrr": 1}}, "conf.lrr: unknown argument of AdamW.*lr"),
        ({"groups": {"upstream": {"lrr": 1}}}, r"groups.upstream.lrr: unknown argument of AdamW"),
        ({"groups": {"upstream": 0.1}}, r"groups.upstream: expected settings"),
        ({"optimizers": {"a": {"updatd_modules": []}}}, "optimizers.a.updatd_modules.*did you mean 'updated_modules'"),
        ({"optimizers": {"a": {"scheduler": {"name": "nom"}}}}, "unknown name 'nom'"),
    ],
)
def test_what_does_not_exist_is_said_before_any_work(section, message):
    with pytest.raises(ConfigError, match=message):
        optimizers.check(SECTION | section)


def test_a_pattern_that_names_nothing_says_what_there_is():
    with pytest.raises(ConfigError, match="groups: .*'upstrem'.*did you mean 'upstream'"):
        groups_of({"groups": {"upstrem": {"lr": 1.0}}})
    with pytest.raises(
        ConfigError,
        match=r"updated_modules: .*'head' matches no trained parameter; the modules are \w+(\.\w+)?(, \w+(\.\w+)?)+$",
    ):
        named().of(["head"], "build_optimizer.updated_modules")


def test_settings_that_torch_refuses_are_the_sections_fault():
    with pytest.raises(ConfigError, match="build_optimizer: invalid settings of AdamW: .*learning rate"):
        optimizers.build_optimizer(SECTION | {"conf": {"lr": -1.0}}, named())


def test_several_inherit_what_they_do_not_change():
    given = SECTION | {"optimizers": {"a": {"updated_modules": ["upstream"], "conf": {"lr": 1.0}}, "b": None}}
    (_, a), (_, b) = optimizers.single(given)
    assert (a["name"], a["conf"], a["updated_modules"]) == ("AdamW", {"lr": 1.0}, ["upstream"])
    assert (b["conf"], b["updated_modules"]) == (SECTION["conf"], None)
