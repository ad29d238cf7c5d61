"""x-vector and ECAPA-TDNN: sizes by hand, padding, short utterances, single ones."""

from __future__ import annotations

import pytest
import torch

from nn.downstream.ecapa import ECAPA
from nn.downstream.linear import MeanPoolLinear
from nn.downstream.xvector import CONTEXT, XVector
from nn.losses.margin import AMSoftmax

LENGTHS = torch.tensor([40, 23, 15, 7, 0])


def count(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("input_size", [80, 768])
def test_xvector_has_as_many_parameters_as_superbs(input_size):
    expected = (
        (input_size * 512 + 512)  # projector
        + (5 * 512 * 512 + 512) + 2 * (3 * 512 * 512 + 512) + (512 * 512 + 512) + (512 * 1500 + 1500)
        + (2 * 1500 * 512 + 512)  # the embedding, from means and deviations
        + (512 * 512 + 512)  # in training only
    )  # fmt: skip
    assert count(XVector(input_size, 512)) == expected
    assert expected == {80: 5757916, 768: 6110172}[input_size]
    assert count(AMSoftmax(512, 1211)) == 512 * 1211  # VoxCeleb1's speakers without the 40 of its test set


@pytest.mark.parametrize("classes", [12, 1251])
def test_mean_pool_linear_has_as_many_parameters_as_superbs(classes):
    assert count(MeanPoolLinear(768, classes)) == (768 * 256 + 256) + (256 * classes + classes)


def test_ecapa_has_as_many_parameters_as_the_paper_says():
    channels, width = 512, 64

    def conv(size_in, size_out, frames=1):  # with its batch norm
        return frames * size_in * size_out + size_out + 2 * size_out

    block = 2 * conv(channels, channels) + 7 * conv(width, width, 3) + (512 * 128 + 128) + (128 * 512 + 512)
    attention = (3 * 1536 * 128 + 128) + (128 * 1536 + 1536)
    tail = (3 * channels * 1536 + 1536) + attention + 2 * 3072 + (3072 * 192 + 192) + 2 * 192
    assert count(ECAPA(80, 192)) == conv(80, channels, 5) + 3 * block + tail
    assert round(count(ECAPA(80, 192)) / 1e6, 1) == 6.2  # table 1: 6.2M with 512 channels,
    assert round(count(ECAPA(80, 192, channels=1024)) / 1e6, 1) == 14.7  # 14.7M with 1024


def tiny(kind: type, **settings: object) -> torch.nn.Module:
    torch.manual_seed(0)
    sizes = {XVector: {"hidden_size": 8, "tdnn_size": 8, "aggregation_size": 12, "batch_norm": True},
             ECAPA: {"channels": 8, "aggregation_size": 12, "scale": 4, "bottleneck": 4}}[kind]  # fmt: skip
    head = kind(6, 5, **sizes, **settings)
    x = torch.randn(3, 30, 6)
    for _ in range(3):  # running statistics of something
        head(x, torch.tensor([30, 30, 20]))
    return head


@pytest.mark.parametrize("kind", [XVector, ECAPA])
@pytest.mark.parametrize("pooling", ["mean", "attentive_statistics"])
def test_an_utterance_in_a_padded_batch_gives_its_embedding_alone(kind, pooling):
    head = tiny(kind, pooling=pooling).eval()
    x = torch.randn(5, 40, 6, generator=torch.Generator().manual_seed(0))
    whole, ones = head(x, LENGTHS)
    assert whole.shape == (5, 5) and ones.tolist() == [1] * 5
    for row, length, embedding in zip(x, LENGTHS, whole):
        alone, _ = head(row[None, : max(int(length), 1)], length[None])
        torch.testing.assert_close(alone[0], embedding, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", [XVector, ECAPA])
def test_padding_changes_neither_the_loss_nor_the_statistics_of_training(kind):
    x, lengths = torch.randn(2, 20, 6), torch.tensor([20, 16])
    short, long = tiny(kind), tiny(kind)
    found, _ = short(x, lengths)
    padded, _ = long(torch.nn.functional.pad(x, (0, 0, 0, 9), value=3.0), lengths)
    torch.testing.assert_close(found, padded)
    for (name, one), (_, other) in zip(short.named_buffers(), long.named_buffers()):
        torch.testing.assert_close(one, other, msg=name)


@pytest.mark.parametrize("kind", [XVector, ECAPA])
def test_a_batch_of_one_short_utterance_trains(kind):
    head = tiny(kind)
    y, _ = head(torch.randn(1, 2, 6), torch.tensor([2]))
    y.square().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in head.parameters() if p.grad is not None)


def test_the_second_layer_of_an_xvector_is_for_training_alone():
    head = tiny(XVector, dropout=0.0)
    x, lengths = torch.randn(2, CONTEXT, 6), torch.tensor([CONTEXT, CONTEXT])
    head.segment7.weight.data.zero_(), head.segment7.bias.data.fill_(2.5)
    assert (head(x, lengths)[0] == 2.5).all()
    assert not (head.eval()(x, lengths)[0] == 2.5).all()


def test_ecapa_refuses_channels_that_its_groups_do_not_divide():
    with pytest.raises(ValueError, match=r"scale is 3, expected .* a divisor of channels \(512\)"):
        ECAPA(6, 4, scale=3)
