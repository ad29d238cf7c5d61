"""Weights of one training in another: the upstream alone, or the parts that are named."""

from __future__ import annotations

import json
import re

import pytest
import torch

import problems
from problems.asr import ASR
from problems.engine.cli.main import execute
from tests.conftest import tiny_options

ENCODER = ["--build_upstream.name=tests.parts.tiny_encoder:TinyEncoder", "--build_model.specaug=null"]


@pytest.fixture(scope="module")
def trained(tones, tmp_path_factory):
    folder = tmp_path_factory.mktemp("fine tuned")
    options = [own for own in tiny_options(tones, folder) if not own.startswith("--build_upstream")]
    assert execute(ASR(), ["run", *options, *ENCODER, "--build_model.upstream_trainable=true", "--stop=2"]) == 0
    return folder / "run"


@pytest.fixture
def options(tones, tmp_path):
    return [own for own in tiny_options(tones, tmp_path) if not own.startswith("--build_upstream")]


def weights(folder) -> dict[str, torch.Tensor]:
    return dict(problems.load(str(folder), device="cpu").model.named_parameters())


def test_a_fine_tuned_upstream_is_frozen_in_another_training_and_found_again(trained, options, tmp_path):
    upstream = ["--build_upstream.name=soundstage.checkpoint:upstream", f"--build_upstream.conf.path={trained}"]
    assert execute(ASR(), ["run", *options, *upstream, "--build_model.specaug=null", "--stop=2"]) == 0
    own, source = weights(tmp_path / "run"), weights(trained)
    names = [name for name in source if name.startswith("upstream.")]
    assert len(names) == 6 and all(torch.equal(own[name], source[name]) for name in names)
    fresh = type(problems.load(str(trained)).model.upstream)()
    assert not torch.equal(source[names[0]], dict(fresh.named_parameters())[names[0].removeprefix("upstream.")])


@pytest.mark.parametrize("path, reason", [("", "conf.path is missing"), ("nowhere", "is not a checkpoint")])
def test_a_checkpoint_that_is_not_there_is_refused(options, capsys, path, reason):
    upstream = ["--build_upstream.name=soundstage.checkpoint:upstream", f"--build_upstream.conf.path={path}"]
    assert execute(ASR(), ["run", *options, *upstream]) != 0
    err = capsys.readouterr().err
    assert reason in err and "Traceback" not in err


def test_named_parts_are_taken_and_listed(trained, options, tmp_path, capsys):
    start = [f"--train.init_ckpt_dir={trained}", "--train.init_parts=[upstream.*]", "--train.total_steps=0"]
    model = [*ENCODER, "--build_model.upstream_trainable=true", "--build_downstream.conf.hidden_size=[7]"]
    start += ["--train.eval_step=null", "--train.save_step=null"]
    assert execute(ASR(), ["run", *options, *model, *start, "--stop=2"]) == 0
    err = capsys.readouterr().err
    assert re.search(r"training starts from 6 weights in .*: upstream\.layers\.0\.bias", err)
    assert re.search(r"\d+ weights are as they were built: downstream\.", err)
    own, source = weights(tmp_path / "run"), weights(trained)
    assert all(torch.equal(own[name], source[name]) for name in own if name.startswith("upstream."))


def test_parts_without_a_checkpoint_are_refused(options, capsys):
    assert execute(ASR(), ["run", *options, "--train.init_parts=[upstream.*]"]) == 2
    assert "train.init_parts: names parts of init_ckpt_dir" in capsys.readouterr().err


def test_the_settings_of_a_checkpoint_say_which_it_was_built_from(trained, options, tmp_path):
    upstream = ["--build_upstream.name=soundstage.checkpoint:upstream", f"--build_upstream.conf.path={trained}"]
    assert execute(ASR(), ["run", *options, *upstream, "--build_model.specaug=null", "--stop=2"]) == 0
    (arguments,) = (tmp_path / "run" / "train").glob("step_*8/model/arguments.json")
    section = json.loads(arguments.read_text())["values"]["build_upstream"]
    assert section == {"name": "soundstage.checkpoint:upstream", "conf": {"path": str(trained)}}
