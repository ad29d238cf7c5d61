"""Values are taken as their setting's type, or refused with what was expected."""

from __future__ import annotations

from pathlib import Path

import pytest

from problems.asr import ASR
from problems.engine.config.layers import Layer
from problems.engine.config.merge import resolve
from tests.parts.configs import refused, typed


@pytest.mark.parametrize(
    "word, expected",
    [
        ("test_ckpt_steps=[10, 20]", [10, 20]),
        ("test_ckpt_steps=null", None),
        ("fresh=true", True),
        ("device=cuda:1", "cuda:1"),
        ("target_dir=0012", "0012"),
        ("target_dir=2024-11-12", "2024-11-12"),
        ("target_dir=no", "no"),
        ("target_dir=null", None),
        ("target_dir='null'", "null"),
        ("target_dir=1e4", "1e4"),
        ("target_dir=/tmp/a #1", "/tmp/a #1"),
        ("target_dir=a: b", "a: b"),
        ("target_dir=[odd", "[odd"),
        ("target_dir=ergebnis/größer", "ergebnis/größer"),
        ("target_dir=__import__('os').getcwd()", "__import__('os').getcwd()"),
        ("target_dir=!!python/object/apply:os.getcwd []", "!!python/object/apply:os.getcwd []"),
    ],
)
def test_top_level_values(word, expected):
    key = word.partition("=")[0]
    value = typed(word)[key]
    assert value == expected and type(value) is type(expected)


def test_a_path_among_other_kinds_of_value_is_as_typed():
    words = ["prepare_data.corpus=csv", "prepare_data.train=a, b #1.csv", "prepare_data.test=/x/a, b #1.csv"]
    data = typed(*words)["prepare_data"]
    assert data["train"] == "a, b #1.csv" and data["test"] == "/x/a, b #1.csv"


def test_numbers():
    config = typed("build_optimizer.conf.lr=1e-4", "train.total_steps=1e4", "train.gradient_clipping=2")
    assert config["build_optimizer"]["conf"]["lr"] == 1e-4
    assert config["train"]["total_steps"] == 10000 and isinstance(config["train"]["total_steps"], int)
    assert isinstance(config["train"]["gradient_clipping"], float)


def test_a_value_of_a_nested_open_dict_keeps_its_zeros():
    config = typed("prepare_data.corpus=csv", "prepare_data.train=a.csv", "--prepare_data.where.train.speaker", "0012")
    assert config["prepare_data"]["where"] == {"train": {"speaker": "0012"}}


def test_paths_and_tuples_from_code():
    config = resolve(ASR(), [Layer("run()", {"target_dir": Path("a/b"), "test_ckpt_steps": (1, 2)})])
    assert config["target_dir"] == "a/b" and config["test_ckpt_steps"] == [1, 2]


@pytest.mark.parametrize(
    "word, message",
    [
        ("train.total_steps=many", "expected a whole number or 'auto' or null, got 'many'"),
        ("train.total_steps=-5", "at least 0, got -5"),
        ("train.total_steps=2.5", "expected a whole number or 'auto' or null, got 2.5"),
        ("train.seed=true", "expected a whole number, got True"),
        ("train.gradient_clipping=.nan", "finite"),
        ("train.gradient_clipping=.inf", "finite"),
        ("fresh=perhaps", "true or false"),
        ("test_ckpt_steps=[1, x]", "a list (each: a whole number)"),
        ("test_ckpt_steps=[1, 2", "a list"),
        ("build_downstream.conf.hidden_size=12", "a list"),
        ("build_upstream=5", "keys and values"),
        ("build_upstream.name=5", "unknown name 5"),
        ("build_upstream.name=[a]", "unknown name ['a']"),
        ("build_batch_sampler.train=3", "keys and values"),
        ("build_batch_sampler.train=null", "keys and values"),
        ("build_task.foo=1", "unknown key"),
        ("evaluate.foo.bar=1", "unknown key"),
        ("start=5", "at most 4"),
    ],
)
def test_wrong_values(word, message):
    assert message in refused(word)
