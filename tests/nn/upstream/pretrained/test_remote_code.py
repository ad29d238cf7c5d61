"""Code that comes with a model runs only if it is trusted, at a pinned commit; its states are those of the model."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save_file

from nn.upstream.pretrained.huggingface import hugging_face
from tests.parts.hugging_face import transformers
from tests.parts.upstreams import check_states

CODE = """
import pathlib
import torch
from transformers import PretrainedConfig, PreTrainedModel

(pathlib.Path(__file__).parent / "ran").touch()


class TheirConfig(PretrainedConfig):
    model_type = "theirs"


class TheirModel(PreTrainedModel):
    config_class = TheirConfig

    def __init__(self, config):
        super().__init__(config)
        self.conv = torch.nn.Conv1d(1, 6, 400, 320)
        self.linear = torch.nn.Linear(6, 6)
        self.post_init()

    def forward(self, wav):
        x = self.conv(wav[:, None]).transpose(1, 2)
        x = x - x.mean(dim=1, keepdim=True)
        return RETURNED
"""


def folder_with_code(folder, returned: str = '{"hidden_states": [x, self.linear(x)]}'):
    """A model in the form of a repository of the hub: code, config and weights."""
    folder.mkdir()
    (folder / "theirs.py").write_text(CODE.replace("RETURNED", returned))
    auto = {"AutoConfig": "theirs.TheirConfig", "AutoModel": "theirs.TheirModel"}
    (folder / "config.json").write_text(json.dumps({"model_type": "theirs", "auto_map": auto}))
    torch.manual_seed(0)
    conv, linear = torch.nn.Conv1d(1, 6, 400, 320), torch.nn.Linear(6, 6)
    weights = {f"conv.{name}": value for name, value in conv.state_dict().items()}
    weights |= {f"linear.{name}": value for name, value in linear.state_dict().items()}
    save_file(weights, folder / "model.safetensors", {"format": "pt"})

    def states(wav):
        x = conv(wav[:, None]).transpose(1, 2)
        x = x - x.mean(dim=1, keepdim=True)
        return [x, linear(x)]

    return states


@pytest.fixture(autouse=True)
def modules_folder(tmp_path, monkeypatch):
    """transformers copies the code there before it runs it."""
    monkeypatch.setattr(transformers.dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "modules"))


def test_trusted_code_is_an_upstream_that_is_exact_in_a_padded_batch(tmp_path):
    states = folder_with_code(tmp_path / "repo one")
    upstream = hugging_face(str(tmp_path / "repo one"), trust_remote_code=True)
    assert upstream.hidden_sizes == [6, 6] and upstream.downsample_rates == [320, 320]
    check_states(upstream, states, [12000, 7001, 400, 3000, 100, 0])
    assert list((tmp_path / "modules").rglob("ran"))


def test_code_that_is_not_trusted_does_not_run(tmp_path):
    folder_with_code(tmp_path / "repo two")
    with pytest.raises(ValueError, match="cannot be loaded"):
        hugging_face(str(tmp_path / "repo two"))
    assert not list(tmp_path.rglob("ran"))


@pytest.mark.parametrize("revision", [None, "main", "v1.0", "abc1234", "A" * 40, "0" * 41])
def test_code_on_the_hub_needs_a_commit(revision):
    with pytest.raises(ValueError, match="set conf.revision to the commit that you read, 40 hexadecimal digits"):
        hugging_face("someone/their-model", revision=revision, trust_remote_code=True)


def test_code_from_another_repository_is_refused(tmp_path):
    folder_with_code(tmp_path / "repo four")
    path = tmp_path / "repo four" / "config.json"
    path.write_text(path.read_text().replace("theirs.TheirModel", "someone/other--theirs.TheirModel"))
    with pytest.raises(ValueError, match="is in another repository, someone/other--theirs.TheirModel"):
        hugging_face(str(tmp_path / "repo four"), trust_remote_code=True)
    assert not list(tmp_path.rglob("ran"))


def test_a_model_without_states_is_refused(tmp_path):
    folder_with_code(tmp_path / "repo three", returned="x")
    with pytest.raises(ValueError, match=r"TheirModel returned Tensor without hidden_states \(B, T', H\)"):
        hugging_face(str(tmp_path / "repo three"), trust_remote_code=True)


def test_one_tensor_of_states_is_one_layer(tmp_path):
    folder_with_code(tmp_path / "repo five", returned='{"hidden_states": x}')
    assert hugging_face(str(tmp_path / "repo five"), trust_remote_code=True).hidden_sizes == [6]
