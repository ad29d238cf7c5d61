"""Models on the hub: written and read through its interface, and from its cache without the network."""

from __future__ import annotations

import json
import socket
import sys

import pytest

import problems
from problems.asr import ASR
from problems.engine.checkpoints.places import hub as places_hub
from problems.engine.cli.main import execute
from problems.engine.runtime.errors import CheckpointError, ConfigError
from tests.conftest import tiny_options
from tests.parts.hub_server import TOKEN, serving_hub

constants = pytest.importorskip("huggingface_hub.constants", reason="pip install 'soundstage[hub]'")


@pytest.fixture(scope="module")
def trained(tones, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    assert execute(ASR(), ["run", *tiny_options(tones, folder), "--stop=2"]) == 0
    return folder / "run"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    with serving_hub() as server:
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        template = f"{server.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub cache"))
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield server


def test_a_pushed_model_is_used_by_its_name_and_then_without_the_hub(
    trained, tones, hub, tmp_path, monkeypatch, capsys
):
    assert execute(ASR(), ["push", "--ckpt", str(trained), "--private", "--license=mit", "some-user/my.model"]) == 0
    assert f"{hub.url}/some-user/my.model" in capsys.readouterr().out
    files = hub.models["some-user/my.model"]
    assert {"README.md", "card.json", "manifest.json", "model/weights.safetensors"} <= files.keys()
    assert b"license: mit" in files["README.md"] and hub.private == {"some-user/my.model"}
    assert not [name for name in files if "training" in name]
    files["pytorch_model.bin"] = b"never asked for"
    wav = next(tones.rglob("*.wav"))
    expected = problems.load(trained, device="cpu").predict(wav)
    for name in ("some-user/my.model", "hf://some-user/my.model", "some-user/my.model@main"):
        assert problems.load(name, device="cpu").predict(wav) == expected
    assert not [path for _, path in hub.requests if "pytorch_model" in path]
    asked = len(hub.requests)

    def refuse(*_, **__):
        raise AssertionError("network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert problems.load("some-user/my.model", device="cpu").predict(wav) == expected
    assert execute(ASR(), ["predict", "--ckpt", "some-user/my.model", str(wav)]) == 0
    assert capsys.readouterr().out == f"{wav}\t{expected}\n" and len(hub.requests) == asked
    test = ["test", "--ckpt", "some-user/my.model", "--data", str(tones / "test.csv"), f"--out={tmp_path / 'out'}"]
    assert execute(ASR(), [*test, "--num_workers=0"]) == 0 and len(hub.requests) == asked
    assert list((tmp_path / "out").rglob("result.json"))


def test_a_second_push_replaces_the_model_and_its_page_may_be_edited(trained, tones, hub):
    push = ["push", "--ckpt", str(trained), "a/b"]
    assert execute(ASR(), push) == 0
    hub.models["a/b"]["README.md"] += b"\nMine.\n"
    assert problems.load("a/b").card["license"] is None
    assert execute(ASR(), [*push, "--license=mit"]) == 0
    assert json.loads(hub.models["a/b"]["card.json"])["license"] == "mit"


def test_what_is_there_is_a_path_and_a_folder_of_that_name_hides_the_hub(trained, hub, tmp_path, monkeypatch):
    monkeypatch.chdir(trained.parent)
    assert problems.load("run/train").folder.name == "step_00000008"
    with pytest.raises(CheckpointError, match="run/nothing is not a checkpoint"):
        problems.load("run/nothing")
    for name in ("/no/such", "./no/such", "no/such/path", "nothing", "~/such"):
        with pytest.raises(CheckpointError, match="is not a checkpoint"):
            problems.load(name)
    assert not hub.requests


def test_what_is_not_there_or_no_model_of_ours_is_refused(hub):
    with pytest.raises(
        CheckpointError, match="no folder a/missing, and as a model on the hub it cannot be loaded: 404"
    ):
        problems.load("a/missing")
    hub.models["a/other"] = {"config.json": b"{}"}
    with pytest.raises(CheckpointError, match="a/other.*manifest.json"):
        problems.load("a/other")
    hub.models["a/broken"] = {"manifest.json": b"[]"}
    with pytest.raises(CheckpointError, match="its manifest.json is not that of a model that export wrote"):
        problems.load("a/broken")
    with pytest.raises(ConfigError, match="hf://a is not a name on the hub: expected hf://user/name"):
        problems.load("hf://a")


def test_a_damaged_download_is_refused(trained, hub):
    assert execute(ASR(), ["push", "--ckpt", str(trained), "a/b"]) == 0
    files = hub.models["a/b"]
    files["model/weights.safetensors"] = files["model/weights.safetensors"][:-1] + b"?"
    with pytest.raises(CheckpointError, match=r"damaged: model/weights.safetensors differs"):
        problems.load("a/b")


def test_a_push_without_a_token_or_to_no_name_says_what_to_do(trained, hub, monkeypatch, capsys):
    monkeypatch.setenv("HF_TOKEN", "wrong")
    assert execute(ASR(), ["push", "--ckpt", str(trained), "a/b"]) == 1
    assert "hf auth login" in capsys.readouterr().err and not hub.models
    for words in (["--ckpt", str(trained), "no-user"], ["--ckpt", str(trained), "a/b@main"], ["a/b"], ["--ckpt", "x"]):
        assert execute(ASR(), ["push", *words]) == 2
    assert "push needs the name to write to" in capsys.readouterr().err


def test_without_the_library_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ConfigError, match=r"no folder some/name.*pip install 'soundstage\[hub\]'"):
        places_hub.download("some/name")
