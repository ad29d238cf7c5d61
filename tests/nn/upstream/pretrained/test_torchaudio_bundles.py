"""torchaudio's pretrained models by name: weights from files, random weights, no network."""

from __future__ import annotations

import importlib
import socket

import pytest
import torch
import torchaudio.pipelines

from nn.upstream import UPSTREAMS

PIPELINES = [
    name for name, target in UPSTREAMS.items() if target.startswith("nn.upstream.pretrained.torchaudio_bundles:")
]


def test_every_pipeline_of_torchaudio_has_a_name():
    module = importlib.import_module("nn.upstream.pretrained.torchaudio_bundles")
    named = {getattr(module, UPSTREAMS[name].split(":")[1]).name for name in PIPELINES}
    bundles = {n for n in dir(torchaudio.pipelines) if hasattr(getattr(torchaudio.pipelines, n), "_normalize_waveform")}
    assert named == bundles and len(PIPELINES) == len(bundles) == 30


@pytest.fixture
def narrow(monkeypatch, tmp_path):
    """``wav2vec2_base`` narrowed, torch.hub in an empty folder, and no network."""

    def refuse(*_, **__):
        raise OSError("no network in a test")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    params = torchaudio.pipelines.WAV2VEC2_BASE._params | {
        "extractor_conv_layer_config": [(16, 10, 5), (16, 3, 2)],
        "encoder_embed_dim": 32,
        "encoder_pos_conv_groups": 4,
        "encoder_num_layers": 2,
        "encoder_num_heads": 4,
        "encoder_ff_interm_features": 48,
    }
    monkeypatch.setattr(torchaudio.pipelines.WAV2VEC2_BASE, "_params", params)
    from nn.upstream.pretrained.torchaudio_bundles import Wav2Vec2Base

    return Wav2Vec2Base


def test_random_weights_follow_from_the_seed_and_take_no_random_numbers(narrow):
    torch.manual_seed(5)
    first, drawn = narrow("random").state_dict(), torch.rand(1)
    torch.manual_seed(5)
    assert torch.equal(torch.rand(1), drawn)
    two, other = narrow("random").state_dict(), narrow("random", seed=1).state_dict()
    assert all(torch.equal(first[k], two[k]) for k in first) and not all(torch.equal(first[k], other[k]) for k in first)


def test_weights_come_from_a_local_file_the_recognisers_head_left_aside(narrow, tmp_path):
    from safetensors.torch import save_file

    source = narrow("random", seed=3).model.state_dict()
    folder = tmp_path / "ordner mit ä"
    folder.mkdir()
    torch.save(source | {"aux.weight": torch.zeros(3, 32), "aux.bias": torch.zeros(3)}, folder / "w.pth")
    save_file(source, folder / "w.safetensors")
    for name in ("w.pth", "w.safetensors"):
        loaded = narrow(str(folder / name)).model.state_dict()
        assert all(torch.equal(loaded[k], v) for k, v in source.items())


def test_wrong_files_are_refused(narrow, tmp_path):
    with pytest.raises(ValueError, match="there is no file"):
        narrow(str(tmp_path / "none.pth"))
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match="other.pth do not fit this model"):
        narrow(str(tmp_path / "other.pth"))
    with pytest.raises(ValueError, match="cannot be downloaded.*conf.checkpoint to a local file"):
        narrow()
