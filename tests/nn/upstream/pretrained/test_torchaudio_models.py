"""torchaudio's encoders: the source library's states alone and in a batch, weights from files, no network."""

from __future__ import annotations

import copy
import importlib
import socket

import pytest
import torch
import torchaudio.pipelines
from torchaudio.models import wav2vec2_model, wavlm_model

from nn.upstream import UPSTREAMS
from nn.upstream.pretrained.masked_norms import TimeGroupNorm, normalise_wav
from nn.upstream.pretrained.torchaudio_models import Wav2Vec2
from tests.parts.upstreams import check_states, padded, spread

FAMILIES = ["WAV2VEC2_BASE", "HUBERT_BASE", "WAVLM_BASE", "WAVLM_LARGE", "WAV2VEC2_XLSR_300M"]
PIPELINES = [
    name for name, target in UPSTREAMS.items() if target.startswith("nn.upstream.pretrained.torchaudio_bundles:")
]


def bundle_model(name: str, layers: int = 2) -> torch.nn.Module:
    """A bundle's model at its full width with few layers and random weights."""
    bundle = getattr(torchaudio.pipelines, name)
    make = wavlm_model if bundle._model_type == "WavLM" else wav2vec2_model
    torch.manual_seed(0)
    model = make(**bundle._params | {"encoder_num_layers": layers, "aux_num_out": None}).eval()
    spread(model)
    return model


def small_model(**changes) -> torch.nn.Module:
    """wav2vec 2.0 base with narrow layers, for what has nothing to do with width."""
    params = torchaudio.pipelines.WAV2VEC2_BASE._params | {
        "extractor_conv_layer_config": [(16, 10, 5), (16, 3, 2), (16, 2, 2)],
        "encoder_embed_dim": 32,
        "encoder_pos_conv_kernel": 16,
        "encoder_pos_conv_groups": 4,
        "encoder_num_layers": 3,
        "encoder_num_heads": 4,
        "encoder_ff_interm_features": 48,
        "aux_num_out": None,
    }
    torch.manual_seed(0)
    return wav2vec2_model(**params | changes)


def torchaudio_states(model: torch.nn.Module, normalise: bool):
    """What torchaudio gives for one utterance: the transformer's input, each layer, and the model's own output."""

    def states(wav):
        if normalise:
            wav = torch.nn.functional.layer_norm(wav, wav.shape)
        features, _ = model.feature_extractor(wav, None)
        first = model.encoder.transformer._preprocess(model.encoder.feature_projection(features))
        return [first, *model.extract_features(wav)[0][:-1], model(wav)[0]]

    return states


@pytest.mark.parametrize("name", FAMILIES)
def test_states_are_torchaudio_s_alone_and_in_a_batch(name):
    model, normalise = bundle_model(name), getattr(torchaudio.pipelines, name)._normalize_waveform
    reference = torchaudio_states(copy.deepcopy(model), normalise)
    upstream = Wav2Vec2(model, normalise)
    assert upstream.downsample_rates == [320] * 3 and upstream.minimum == 400
    check_states(upstream, reference)


def test_torchaudio_itself_lets_neighbours_in_which_is_why_the_way_is_ours():
    model = small_model().eval()
    wav, wav_len = padded([3000, 1000])
    wav = wav.nan_to_num()
    alone = model.extract_features(wav[1:, :1000])[0][-1]
    batch = model.extract_features(wav, wav_len)[0][-1][1:, : alone.shape[1]]
    assert (alone - batch).abs().max() > 1e-2


def test_lengths_are_those_of_the_convolutions_at_every_length():
    model = small_model().eval()
    upstream = Wav2Vec2(model)
    for samples in range(upstream.minimum, upstream.minimum + 50):
        frames = model.feature_extractor(torch.zeros(1, samples), None)[0].shape[1]
        assert upstream.output_lengths(torch.tensor([samples]))[0].tolist() == [frames], samples
    assert upstream.output_lengths(torch.tensor([0, 1, upstream.minimum - 1]))[0].tolist() == [0, 0, 0]


def test_gradients_reach_every_weight_and_padding_has_none():
    upstream = Wav2Vec2(small_model(encoder_layer_norm_first=True)).train()
    wav, wav_len = padded([2000, 600, 3])
    wav = wav.nan_to_num().requires_grad_()
    states, lengths = upstream(wav, wav_len)
    sum((s[0].square().sum() + s[1, : int(lengths[0][1])].square().sum()) for s in states).backward()
    assert not [n for n, p in upstream.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert wav.grad[0].any() and not wav.grad[1, 600:].any() and not wav.grad[2].any()


def test_group_norm_under_autocast_computes_in_float32_as_torch_does():
    norm = TimeGroupNorm(4, 4)
    x = 100 + torch.randn(2, 4, 50)
    expected = torch.nn.functional.group_norm(x[1:, :, :30], 4)
    norm.lengths = torch.tensor([50, 30])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = norm(x)
    torch.testing.assert_close(y[1:, :, :30], expected, atol=1e-4, rtol=0)


def test_normalisation_of_waveforms_is_over_true_samples_and_survives_silence():
    wav, wav_len = padded([500, 100, 0])
    y = normalise_wav(wav, wav_len, 1e-5)
    torch.testing.assert_close(y[1:2, :100], torch.nn.functional.layer_norm(wav[1:2, :100], (100,)), atol=1e-5, rtol=0)
    assert not y[1, 100:].any() and not y[2].any()
    assert not normalise_wav(torch.full((1, 50), 0.3), torch.tensor([50]), 1e-5).any()


def test_layers_are_numbered_as_the_states_are():
    upstream = Wav2Vec2(small_model(encoder_layer_norm_first=True)).eval()
    names = [n for n, _ in upstream.named_parameters()]
    assert {upstream.layer_of(n) for n in names} == {0, 1, 2, 3}
    assert upstream.layer_of("model.encoder.transformer.layer_norm.weight") == 3
    wav, wav_len = torch.randn(1, 2000), torch.tensor([2000])
    for number in range(4):  # state i depends on nothing deeper than i, and on layer i
        state = upstream(wav, wav_len)[0][number]
        found = torch.autograd.grad(state.square().sum(), list(upstream.parameters()), allow_unused=True)
        assert max(upstream.layer_of(n) for n, g in zip(names, found) if g is not None) == number
    assert Wav2Vec2(small_model()).layer_of("model.encoder.transformer.layer_norm.weight") == 0  # before the layers


def test_every_pipeline_of_torchaudio_has_a_name():
    module = importlib.import_module("nn.upstream.pretrained.torchaudio_bundles")
    made = {getattr(module, UPSTREAMS[name].split(":")[1]).name for name in PIPELINES}
    there = {n for n in dir(torchaudio.pipelines) if hasattr(getattr(torchaudio.pipelines, n), "_normalize_waveform")}
    assert made == there and len(PIPELINES) == len(there) == 30


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
    one, drawn = narrow("random").state_dict(), torch.rand(1)
    torch.manual_seed(5)
    assert torch.equal(torch.rand(1), drawn)
    two, other = narrow("random").state_dict(), narrow("random", seed=1).state_dict()
    assert all(torch.equal(one[k], two[k]) for k in one) and not all(torch.equal(one[k], other[k]) for k in one)


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


def test_wrong_files_are_said_in_words(narrow, tmp_path):
    with pytest.raises(ValueError, match="there is no file"):
        narrow(str(tmp_path / "none.pth"))
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match="other.pth do not fit this model"):
        narrow(str(tmp_path / "other.pth"))
    with pytest.raises(ValueError, match="cannot be downloaded.*conf.checkpoint to a local file"):
        narrow()
