"""Loading encoders of Hugging Face: local folders, random weights, refused families and files."""

from __future__ import annotations

import json
import socket
import sys

import pytest
import torch

from nn.upstream.pretrained.huggingface import hugging_face
from tests.parts.hugging_face import CONVOLUTIONS, SHAPE, saved

transformers = pytest.importorskip("transformers", reason="pip install 'soundstage[hf]'")
huggingface_hub = pytest.importorskip("huggingface_hub")


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*_, **__):
        raise OSError("no network in a test")

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)  # it would try for long
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


def test_random_weights_follow_from_the_seed(tmp_path):
    transformers.HubertConfig(**SHAPE, **CONVOLUTIONS).save_pretrained(tmp_path)
    torch.manual_seed(1)
    one = hugging_face(str(tmp_path), checkpoint="random", normalise=True)
    drawn = torch.rand(1)
    torch.manual_seed(1)
    assert torch.equal(torch.rand(1), drawn)
    two = hugging_face(str(tmp_path), checkpoint="random", normalise=True, seed=1)
    weight = "model.encoder.layers.0.attention.q_proj.weight"
    assert not torch.equal(one.state_dict()[weight], two.state_dict()[weight])


def test_pickled_weights_are_refused(tmp_path):
    model = saved(tmp_path, "Hubert", SHAPE | CONVOLUTIONS, True)
    (tmp_path / "model.safetensors").unlink()
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(ValueError, match="weights in safetensors"):
        hugging_face(str(tmp_path))


def test_code_of_a_repository_is_not_run(tmp_path):
    saved(tmp_path, "Hubert", SHAPE | CONVOLUTIONS, True)
    (tmp_path / "theirs.py").write_text("import pathlib; pathlib.Path('ran').touch()\nclass C: pass\n")
    config = json.loads((tmp_path / "config.json").read_text())
    config |= {"model_type": "theirs", "auto_map": {"AutoConfig": "theirs.C", "AutoModel": "theirs.C"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="cannot be loaded"):
        hugging_face(str(tmp_path))


def test_weights_that_are_missing_are_named_not_drawn(tmp_path):
    saved(tmp_path, "Hubert", SHAPE | CONVOLUTIONS, True)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 3}))
    with pytest.raises(ValueError, match=r"encoder\.layers\.2"):
        hugging_face(str(tmp_path))


@pytest.mark.parametrize(
    ("conf", "words"),
    [
        ({}, "conf.model is missing"),
        ({"model": "facebook/hubert-base-ls960"}, "'facebook/hubert-base-ls960' cannot be loaded"),
        ({"model": "there/is none"}, "'there/is none' cannot be loaded"),
        ({"model": "x", "checkpoint": "file.pt"}, "checkpoint is 'file.pt', expected null"),
    ],
)
def test_wrong_settings_are_refused(conf, words, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ValueError, match=words):
        hugging_face(**conf)


def test_a_folder_without_preprocessor_config_needs_normalise(tmp_path):
    saved(tmp_path, "Hubert", SHAPE | CONVOLUTIONS)
    with pytest.raises(ValueError, match="conf.normalise to true or false"):
        hugging_face(str(tmp_path))
    assert hugging_face(str(tmp_path), normalise=False).normalise is None


@pytest.mark.parametrize("family", ["speecht5", "bert"])
def test_another_family_is_refused_by_name_before_weights_are_read(family, tmp_path):
    """Each loads with its config alone and then fails in forward, some on short audio only, or gives other lengths."""
    (tmp_path / "config.json").write_text(json.dumps({"model_type": family}))
    with pytest.raises(ValueError, match=rf"family {family}, which is not supported; expected one of wav2vec2, hubert"):
        hugging_face(str(tmp_path), normalise=False)


def test_without_the_extra_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ValueError, match=r"pip install 'soundstage\[hf\]'"):
        hugging_face("x")
