"""Batch norm over the true frames of a padded batch."""

from __future__ import annotations

import torch
from torch import nn

from nn.masked_batch_norm import FrameNorm, VectorNorm

LENGTHS = torch.tensor([9, 4, 0])


def test_true_frames_are_normalised_by_their_own_statistics_and_padding_is_zero():
    x = torch.randn(3, 9, 5, generator=torch.Generator().manual_seed(0))
    inside = torch.arange(9) < LENGTHS[:, None]
    norm, reference = FrameNorm(5), nn.BatchNorm1d(5)
    for _ in range(3):
        y, expected = norm(x.masked_fill(~inside.unsqueeze(-1), float("nan")), LENGTHS), reference(x[inside])
        torch.testing.assert_close(y[inside], expected)
        assert not y[~inside].any()
    torch.testing.assert_close(norm.norm.running_var, reference.running_var)
    y, expected = norm.eval()(x, LENGTHS), reference.eval()(x[inside])
    torch.testing.assert_close(y[inside], expected)
    assert not y[~inside].any()


def test_a_single_vector_in_training_is_normalised_by_the_running_statistics_and_leaves_them():
    norm = VectorNorm(5)
    norm(2 + torch.randn(8, 5))
    before = {name: buffer.clone() for name, buffer in norm.named_buffers()}
    x = torch.randn(1, 5)
    y = norm(x)
    assert all(torch.equal(buffer, before[name]) for name, buffer in norm.named_buffers())
    torch.testing.assert_close(y, norm.eval()(x))
