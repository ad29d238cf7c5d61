"""torchaudio's encoders: the source library's states alone and in a padded batch, lengths, layers, gradients."""

from __future__ import annotations

import copy

import pytest
import torch
import torchaudio.pipelines

from nn.upstream.pretrained.torchaudio_models import Wav2Vec2
from tests.parts.torchaudio_models import bundle_model, small_model, torchaudio_states
from tests.parts.upstreams import check_states, padded

FAMILIES = ["WAV2VEC2_BASE", "HUBERT_BASE", "WAVLM_BASE", "WAVLM_LARGE", "WAV2VEC2_XLSR_300M"]


@pytest.mark.parametrize("name", FAMILIES)
def test_states_are_torchaudio_s_alone_and_in_a_batch(name):
    model, normalise = bundle_model(name), getattr(torchaudio.pipelines, name)._normalize_waveform
    reference = torchaudio_states(copy.deepcopy(model), normalise)
    upstream = Wav2Vec2(model, normalise)
    assert upstream.downsample_rates == [320] * 3 and upstream.minimum == 400
    check_states(upstream, reference)


def test_torchaudio_itself_lets_neighbours_in_so_the_forward_pass_is_ours():
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


def test_layers_are_numbered_as_the_states_are():
    upstream = Wav2Vec2(small_model(encoder_layer_norm_first=True)).eval()
    names = [n for n, _ in upstream.named_parameters()]
    assert {upstream.layer_of(n) for n in names} == {0, 1, 2, 3}
    assert upstream.layer_of("model.encoder.transformer.layer_norm.weight") == 3
    wav, wav_len = torch.randn(1, 2000), torch.tensor([2000])
    for number in range(4):  # state i depends on nothing deeper than i, and on layer i
        state = upstream(wav, wav_len)[0][number]
        gradients = torch.autograd.grad(state.square().sum(), list(upstream.parameters()), allow_unused=True)
        assert max(upstream.layer_of(n) for n, g in zip(names, gradients) if g is not None) == number
    assert Wav2Vec2(small_model()).layer_of("model.encoder.transformer.layer_norm.weight") == 0  # before the layers
