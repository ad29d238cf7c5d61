"""Upstream, featurizer and head as one model: what is frozen, what is augmented, both kinds of input."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nn.downstream.linear import MeanPoolLinear
from nn.downstream.rnn import RNNEncoder
from nn.featurizer import Featurizer
from nn.model import UpstreamDownstreamModel
from nn.specaug import SpecAugment
from nn.upstream.signal.kaldi import Fbank


class Noisy(nn.Module):
    """An upstream with weights and dropout, two layers over frames of 160 samples."""

    num_layers, hidden_sizes, downsample_rates = 2, [8, 8], [160, 160]

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(160, 8)
        self.dropout = nn.Dropout(0.5)

    def forward(self, wav, wav_len):
        frames = self.dropout(self.linear(wav.unfold(1, 160, 160)))
        return [frames, frames * 2], [wav_len // 160] * 2


def build(trainable: bool = False, augment: nn.Module | None = None) -> UpstreamDownstreamModel:
    torch.manual_seed(0)
    upstream = Noisy()
    downstream = RNNEncoder(8, 5, hidden_size=[6], stack=2)
    return UpstreamDownstreamModel(upstream, Featurizer(upstream), downstream, trainable, augment)


WAV, WAV_LEN = torch.randn(2, 3200), torch.tensor([3200, 1700])


def test_a_frozen_upstream_stays_in_eval_mode_without_gradients():
    model = build().train()
    assert model.training and model.downstream.training
    assert not model.upstream.training and not model.upstream.dropout.training
    assert not any(p.requires_grad for p in model.upstream.parameters())
    y, y_len = model(WAV, WAV_LEN)
    assert torch.equal(y, model(WAV, WAV_LEN)[0])  # no dropout acts
    y.sum().backward()
    assert all(p.grad is None for p in model.upstream.parameters())
    assert all(p.grad is not None for p in model.downstream.parameters())
    assert model.featurizer.weights.grad is not None
    assert y_len.tolist() == [10, 5] and model.downsample_rate == 320


def test_a_trainable_upstream_trains():
    model = build(trainable=True).train()
    assert model.upstream.dropout.training
    model(WAV, WAV_LEN)[0].sum().backward()
    assert model.upstream.linear.weight.grad.any()
    assert not model.eval().upstream.training


def test_states_computed_elsewhere_give_the_same_logits():
    model = build().eval()
    expected, expected_len = model(WAV, WAV_LEN)
    states, lens = model.upstream(WAV, WAV_LEN)
    for hidden_states, hidden_lens in ((states, lens), (torch.stack(states), lens[0])):
        y, y_len = model(hidden_states=hidden_states, hidden_lens=hidden_lens)
        assert torch.equal(y, expected) and torch.equal(y_len, expected_len)


def test_neither_or_both_inputs_are_refused():
    model = build()
    with pytest.raises(TypeError, match="got neither"):
        model()
    with pytest.raises(TypeError, match="got both"):
        model(WAV, WAV_LEN, hidden_states=[WAV], hidden_lens=[WAV_LEN])


def test_augment_acts_in_training_only():
    model = build(augment=SpecAugment(time_warp=0, freq_mask_width=[4, 4], time_mask_width=[3, 3])).eval()
    expected = model(WAV, WAV_LEN)[0]
    assert torch.equal(model(WAV, WAV_LEN)[0], expected)
    model.train()
    assert not torch.equal(model(WAV, WAV_LEN)[0], expected)


def test_fbank_to_logits_with_empty_and_tiny_utterances():
    upstream = Fbank(num_mel_bins=8)
    wav_len = torch.tensor([4000, 0, 10, 2000])
    wav = torch.randn(4, 4000)
    for downstream in (RNNEncoder(8, 5, hidden_size=[6], stack=3), MeanPoolLinear(8, 5)):
        model = UpstreamDownstreamModel(upstream, Featurizer(upstream), downstream, augment=SpecAugment())
        y, _ = model(wav, wav_len)
        y.sum().backward()
        assert y.isfinite().all()
        assert all(p.grad.isfinite().all() for p in model.parameters())
