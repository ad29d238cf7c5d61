"""Masks of true frames."""

from __future__ import annotations

import torch

from nn.mask import frame_mask, zero_padding


def test_a_mask_is_true_inside_the_length():
    assert frame_mask(torch.tensor([3, 0, 1]), 3).tolist() == [[True] * 3, [False] * 3, [True, False, False]]


def test_padding_becomes_zero_in_a_copy_even_where_it_is_nan():
    x = torch.ones(2, 3, 2)
    x[1, 1:] = float("nan")
    y = zero_padding(x, torch.tensor([3, 1]))
    assert y[:, :, 0].tolist() == [[1, 1, 1], [1, 0, 0]] and x[1, 2].isnan().all()
