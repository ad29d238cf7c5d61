"""Whether a cache is worth it, what an upstream is known by, and what features take."""

from __future__ import annotations

import dataclasses
import functools
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from problems.engine.features import upstream_digest
from problems.engine.features.cache import decide
from problems.engine.features.extraction import Encoder, groups_of
from problems.engine.features.upstream_digest import digest_of
from problems.engine.runtime.environment import available_memory
from tests.conftest import ROOT
from tests.parts.features import Convolution, utterances

GB = 1e9


@pytest.mark.parametrize(
    "mode, size, computing, disk, ram, place",
    [
        ("auto", 1 * GB, 100, 50 * GB, 8 * GB, "disk"),
        ("auto", 30 * GB, 3000, 50 * GB, 80 * GB, "ram"),  # more than half of the disk
        ("auto", 30 * GB, 3000, 50 * GB, 8 * GB, "off"),
        ("auto", 1 * GB, 5, 50 * GB, 8 * GB, "off"),  # at 0.2 GB/s, reading takes as long
        ("disk", 1 * GB, 5, 50 * GB, 8 * GB, "disk"),
        ("disk", 30 * GB, 3000, 50 * GB, 8 * GB, "disk"),
        ("disk", 60 * GB, 3000, 50 * GB, 80 * GB, "off"),
        ("ram", 6 * GB, 3000, 50 * GB, 8 * GB, "ram"),
        ("ram", 9 * GB, 3000, 50 * GB, 8 * GB, "off"),
    ],
)
def test_where_features_go(mode, size, computing, disk, ram, place):
    found, why = decide(mode, size, computing, {"disk": disk, "ram": ram})
    assert found == place
    assert bool(why) == (place == "off")
    if place == "off" and computing > 5:
        assert f"{size / GB:.1f} GB" in why


def test_what_features_take_is_known_from_lengths_alone(tmp_path):
    dataset, upstream = utterances(tmp_path), Convolution()
    for mean, dtype in ((False, "fp16"), (True, "fp32")):
        encoder = Encoder(upstream, [0, 2], mean, dtype)
        for index in range(len(dataset)):
            wav = dataset[index]["wav"]
            (states,) = encoder(wav[None], torch.tensor([len(wav)]))
            expected = encoder.sizes(np.array([dataset.seconds[index]]))[0]
            assert sum(s.nbytes for s in states) == expected, index


def test_groups_are_of_like_lengths_and_of_all_utterances_once():
    seconds = np.random.default_rng(0).uniform(0.2, 9, 200)
    seconds[7] = 40.0  # longer than a group
    groups = groups_of(seconds, torch.device("cpu"))
    assert sorted(i for group in groups for i in group) == list(range(200))
    assert all(len(g) == 1 or len(g) * seconds[g].max() <= 24.0001 for g in groups)
    assert sum(len(g) * seconds[g].max() for g in groups) < 1.1 * seconds.sum()


def test_there_is_memory():
    assert 1e6 < available_memory() < 1e14


@dataclasses.dataclass
class Options:
    width: int = 3

    def scaled(self, x):
        return self.width * x


def times(factor):
    return lambda x: factor * x


class HubSettings:
    """As transformers has them."""

    def __init__(self, **values):
        self.values = values

    def to_dict(self):
        return self.values


def made(**attributes):
    upstream = Convolution()
    for name, value in attributes.items():
        setattr(upstream.conv, name, value)
    return digest_of(upstream)


def test_an_upstream_made_anew_is_the_same_one():
    attributes = {"rates": [1, 2.5], "config": HubSettings(a=1), "options": Options(), "window": torch.ones(3)}
    attributes |= {"names": {"b", "a"}, "kind": torch.float32, "activation": torch.nn.functional.gelu}
    assert made(**attributes) == made(**attributes)


@pytest.mark.parametrize(
    "name, one, other",
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
def test_another_setting_is_another_upstream(name, one, other):
    assert made(**{name: one}) != made(**{name: other})


def test_what_has_no_value_to_tell_is_refused_by_name():
    with pytest.raises(ValueError, match=r"_thread\.lock, whose value cannot be told"):
        made(lock=threading.Lock())


HELPER, UPSTREAM = (
    "LEVEL = {}\n\ndef louder(x):\n    return LEVEL * x\n",
    """
import torch
from {0}_helper import louder

class Own(torch.nn.Linear):
    def forward(self, wav, wav_len):
        return louder(wav) if wav_len in {{"a", "b", "c"}} else wav
""",
)


def test_code_that_a_class_calls_counts_and_is_the_same_in_every_process(tmp_path):
    """In its module, in one that it imports, and in our own upstreams."""
    code = "import torch, {0}; from problems.engine.features.upstream_digest import digest_of; torch.manual_seed(0);"
    code += "print(digest_of({0}.Own(2, 2)))"
    found = []
    for number, (name, level) in enumerate((("one", 1), ("one", 1), ("one", 2))):
        (tmp_path / f"{name}_helper.py").write_text(HELPER.format(level))
        (tmp_path / f"{name}.py").write_text(UPSTREAM.format(name))
        environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}", "PYTHONHASHSEED": str(number)}
        given = [sys.executable, "-B", "-c", code.format(name)]
        found.append(subprocess.run(given, env=environment, capture_output=True, text=True, check=True).stdout)
    assert found[0] == found[1] != found[2]


def test_our_own_code_counts(monkeypatch):
    before = made()
    monkeypatch.setattr(upstream_digest, "_ours", lambda: ["as after an edit"])
    assert made() != before
    monkeypatch.undo()
    assert len(upstream_digest._ours()) == len(list((ROOT / "nn" / "upstream").rglob("*.py"))) + 1


def test_weights_types_and_code_count():
    upstreams = [Convolution(), Convolution(seed=1), Convolution().half()]
    space = {"Convolution": Convolution}
    for sign in "+-":  # a class of the same name whose code differs, as after an edit
        exec(f"class Edited(Convolution):\n    def forward(self, w, n):\n        return {sign}w", space)
        space["Edited"].__module__ = "mine"
        upstreams.append(space["Edited"]())
    assert len({digest_of(u) for u in upstreams}) == 5
