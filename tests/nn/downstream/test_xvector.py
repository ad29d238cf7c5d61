"""x-vectors: size by hand, padding, short and single utterances."""

from __future__ import annotations

import pytest
import torch

from nn.downstream.xvector import CONTEXT, XVector
from nn.losses.margin import AMSoftmax
from tests.parts.speaker_heads import (
    check_batch_and_alone,
    check_one_short_utterance_trains,
    check_padding_in_training,
    count,
    warmed,
)


def tiny(**settings) -> XVector:
    torch.manual_seed(0)
    return warmed(XVector(6, 5, hidden_size=8, tdnn_size=8, aggregation_size=12, batch_norm=True, **settings))


@pytest.mark.parametrize("pooling", ["mean", "attentive_statistics"])
def test_an_utterance_has_the_same_embedding_in_a_padded_batch_as_alone(pooling):
    check_batch_and_alone(tiny(pooling=pooling))


def test_padding_changes_neither_the_loss_nor_the_statistics_of_training():
    check_padding_in_training(tiny(), tiny())


def test_a_batch_of_one_short_utterance_trains():
    check_one_short_utterance_trains(tiny())


@pytest.mark.parametrize("input_size", [80, 768])
def test_xvector_has_as_many_parameters_as_superbs(input_size):
    expected = (
        (input_size * 512 + 512)  # projector
        + (5 * 512 * 512 + 512)
        + 2 * (3 * 512 * 512 + 512)
        + (512 * 512 + 512)
        + (512 * 1500 + 1500)
        + (2 * 1500 * 512 + 512)  # the embedding, from means and deviations
        + (512 * 512 + 512)  # in training only
    )
    assert count(XVector(input_size, 512)) == expected
    assert expected == {80: 5757916, 768: 6110172}[input_size]
    assert count(AMSoftmax(512, 1211)) == 512 * 1211  # VoxCeleb1's speakers without the 40 of its test set


def test_the_second_layer_of_an_xvector_is_for_training_alone():
    head = tiny(dropout=0.0)
    x, lengths = torch.randn(2, CONTEXT, 6), torch.tensor([CONTEXT, CONTEXT])
    head.segment7.weight.data.zero_(), head.segment7.bias.data.fill_(2.5)
    assert (head(x, lengths)[0] == 2.5).all()
    assert not (head.eval()(x, lengths)[0] == 2.5).all()


def test_a_frame_of_the_pooled_layer_sees_15_frames():
    """5 frames, 3 two apart, 3 three apart, 1, 1: Snyder et al. 2018, table 1."""
    model = tiny(pooling="mean").eval()
    x = torch.randn(1, 31, 6, requires_grad=True)
    y, frames = model.projector(x), torch.tensor([31])
    for layer in model.layers:
        y, frames = layer(y, frames)
    assert int(frames) == 31 - 14
    y[0, 0].sum().backward()
    seen = x.grad[0].abs().sum(dim=1).nonzero().flatten().tolist()
    assert seen == list(range(15)) and CONTEXT == 15
