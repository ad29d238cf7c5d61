"""The linear probes of SUPERB: their values and sizes."""

from __future__ import annotations

import pytest
import torch

from nn.downstream.linear import FrameLinear, MeanPoolAdapter, MeanPoolLinear
from tests.parts.speaker_heads import count


def test_linear_probes():
    torch.manual_seed(2)
    x, lengths = torch.randn(3, 6, 4), torch.tensor([6, 2, 0])
    frame = FrameLinear(4, 3, hidden_size=7)
    y, y_len = frame(x, lengths)
    one = frame.output_linear.weight @ frame.input_linear.weight
    bias = frame.output_linear.weight @ frame.input_linear.bias + frame.output_linear.bias
    torch.testing.assert_close(y, x @ one.t() + bias)
    assert torch.equal(y_len, lengths) and frame.downsample_rate == 1

    pooled = MeanPoolLinear(4, 3)
    y, y_len = pooled(x, lengths)
    assert y.shape == (3, 3) and y_len.tolist() == [1, 1, 1] and y.isfinite().all()
    torch.testing.assert_close(y[1], pooled(x[1:2, :2], lengths[1:2])[0][0])


@pytest.mark.parametrize("classes", [12, 1251])
def test_mean_pool_linear_has_as_many_parameters_as_superbs(classes):
    assert count(MeanPoolLinear(768, classes)) == (768 * 256 + 256) + (256 * classes + classes)


def test_an_adapter_begins_with_the_mean_itself_and_is_trained():
    x, lengths = torch.randn(3, 6, 4), torch.tensor([6, 2, 1])
    head = MeanPoolAdapter(4, 99)
    y, y_len = head(x, lengths)
    torch.testing.assert_close(y, torch.stack([row[:length].mean(0) for row, length in zip(x, lengths)]))
    assert head.output_size == 4 and y_len.tolist() == [1, 1, 1]
    y.square().sum().backward()
    assert head.linear.weight.grad.abs().sum() > 0
