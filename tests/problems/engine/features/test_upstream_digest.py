"""The digest of a frozen upstream: it changes with its weights, its settings and the code that it runs; no more."""

from __future__ import annotations

import dataclasses
import functools
import os
import shutil
import subprocess
import sys
import threading
import types
from pathlib import Path

import numpy as np
import pytest
import torch

from problems.engine.features.upstream_digest import digest_of
from tests.conftest import ROOT
from tests.parts.features import Convolution


@dataclasses.dataclass
class Options:
    width: int = 3

    def scaled(self, x):
        return self.width * x


def unassigned():
    def function(x):
        return x * later

    if False:
        later = 2
    return function


def times(factor):
    return lambda x: factor * x


class HubSettings:
    """As transformers has them."""

    def __init__(self, **values):
        self.values = values

    def to_dict(self):
        return self.values


def digest_with(**attributes) -> str:
    """The digest of an upstream with these attributes in one of its layers."""
    upstream = Convolution()
    for name, value in attributes.items():
        setattr(upstream.conv, name, value)
    return digest_of(upstream)


def test_an_upstream_built_again_has_the_same_digest():
    attributes = {"rates": [1, 2.5], "config": HubSettings(a=1), "options": Options(), "window": torch.ones(3)}
    attributes |= {"names": {"b", "a"}, "kind": torch.float32, "activation": torch.nn.functional.gelu}
    assert digest_with(**attributes) == digest_with(**attributes)


@pytest.mark.parametrize(
    "name, before, after",
    [
        ("rate", 1, 2),
        ("rates", [1, 2], [1, 3]),
        ("normalize", True, False),
        ("table", {"a": {"b": 1}}, {"a": {"b": 2}}),
        ("config", HubSettings(layers=1), HubSettings(layers=2)),
        ("options", Options(3), Options(4)),
        ("window", torch.ones(3), torch.tensor([1.0, 1.0, 1.5])),
        ("activation", torch.nn.functional.gelu, torch.nn.functional.relu),
        ("activation", torch.nn.GELU(), torch.nn.GELU(approximate="tanh")),
        ("names", {"a"}, {"b"}),
        ("call", functools.partial(pow, 2), functools.partial(pow, 3)),
        ("call", lambda x: torch.sin(x), lambda x: torch.cos(x)),
        ("call", times(2), times(3)),
        ("call", lambda x, k=2: x * k, lambda x, k=3: x * k),
        ("call", lambda x: [k * x for k in (1, 2)], lambda x: [k * x for k in (1, 3)]),
        ("call", Options(2).scaled, Options(3).scaled),
        ("mean", np.zeros(3), np.ones(3)),
        ("rate", np.float32(1), np.float32(2)),
        ("table", Path("a"), Path("b")),
        ("table", b"a", b"b"),
        ("table", slice(1), slice(2)),
    ],
)
def test_another_setting_is_another_upstream(name, before, after):
    assert digest_with(**{name: before}) != digest_with(**{name: after})


def test_an_lstm_has_the_digest_of_its_weights():
    """It holds weak references to them beside its parameters."""

    def of(seed, **settings):
        torch.manual_seed(seed)
        return digest_of(torch.nn.LSTM(2, 3, **settings))

    assert of(0) == of(0) != of(1)
    assert of(0) != of(0, batch_first=True)


def test_an_attribute_without_a_value_is_refused_by_its_type():
    with pytest.raises(ValueError, match=r"_thread\.lock, which cannot be digested"):
        digest_with(lock=threading.Lock())


USERS_HELPER = """
LEVEL = {}

def louder(x):
    return LEVEL * x
"""
USERS_UPSTREAM = """
import torch
from users_helper import louder

class Own(torch.nn.Linear):
    def forward(self, wav, wav_len):
        from nn.shape_helper import flat  # of ours, outside nn/upstream
        return louder(flat(wav)) if wav_len in {"a", "b", "c"} else wav
"""
PRINT_DIGEST = """
import torch, users_upstream
from problems.engine.features.upstream_digest import digest_of
torch.manual_seed(0)
print(digest_of(users_upstream.Own(2, 2)))
"""


def test_code_counts_if_the_upstream_imports_it_and_only_then(tmp_path):
    """In every process the same; changed by the user's helper and by ours in nn; not by another upstream's file."""
    for package in ("nn", "dataset", "tasks", "problems", "configs"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "users_helper.py").write_text(USERS_HELPER.format(1))
    (tmp_path / "users_upstream.py").write_text(USERS_UPSTREAM)
    (tmp_path / "nn" / "shape_helper.py").write_text("def flat(x):\n    return x.flatten()\n")

    def digest(seed: int) -> str:
        environment = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONHASHSEED": str(seed)}
        command = [sys.executable, "-B", "-c", PRINT_DIGEST]
        return subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    before = digest(0)
    with open(tmp_path / "nn" / "upstream" / "ge2e.py", "a") as unrelated:
        unrelated.write("# edited\n")
    assert digest(1) == before, "another upstream's file"
    (tmp_path / "nn" / "shape_helper.py").write_text("def flat(x):\n    return x.reshape(-1)\n")
    ours = digest(2)
    assert ours != before, "a helper of ours outside nn/upstream"
    (tmp_path / "users_helper.py").write_text(USERS_HELPER.format(2))
    assert digest(3) not in (before, ours), "a helper of the user's"


def test_a_class_typed_into_an_interpreter_counts_by_its_code(monkeypatch):
    monkeypatch.setitem(sys.modules, "__main__", types.ModuleType("__main__"))  # as there: without a file
    digests = set()
    for sign in "+-":
        space = {"Convolution": Convolution, "__name__": "__main__"}
        exec(f"class Typed(Convolution):\n    def forward(self, w, n):\n        return {sign}w", space)
        digests.add(digest_of(space["Typed"]()))
    assert len(digests) == 2


def test_weights_types_and_code_count():
    upstreams = [Convolution(), Convolution(seed=1), Convolution().half()]
    space = {"Convolution": Convolution}
    for sign in "+-":  # a class of the same name whose code differs, as after an edit
        exec(f"class Edited(Convolution):\n    def forward(self, w, n):\n        return {sign}w", space)
        space["Edited"].__module__ = "mine"
        upstreams.append(space["Edited"]())
    assert len({digest_of(u) for u in upstreams}) == 5


def test_a_variable_that_is_not_assigned_yet_counts_as_empty():
    upstream = Convolution()
    plain = digest_of(upstream)
    upstream.scale = unassigned()
    assert digest_of(upstream) != plain
