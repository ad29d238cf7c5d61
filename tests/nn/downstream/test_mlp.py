"""HEAR's head: its layers and first weights, batch norm over true frames alone, and means that may be cached."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nn.downstream.mlp import FrameMLP, MeanPoolMLP
from tests.parts.speaker_heads import count


@pytest.mark.parametrize("cls", [FrameMLP, MeanPoolMLP])
def test_it_has_the_parameters_of_hears_head(cls):
    norms = 2 * 2 * 1024
    assert count(cls(768, 50)) == (768 * 1024 + 1024) + (1024 * 1024 + 1024) + norms + (1024 * 50 + 50)


def test_weights_start_by_xavier_with_the_gain_of_what_came_before():
    torch.manual_seed(0)
    head = FrameMLP(300, 200, hidden_size=[400, 500])
    for linear, gain in zip([*head.linears, head.output], (1.0, 2**0.5, 2**0.5)):
        bound = gain * (6 / sum(linear.weight.shape)) ** 0.5
        assert linear.weight.abs().max().item() == pytest.approx(bound, rel=1e-2)


def test_its_values_are_those_of_the_plain_layers():
    torch.manual_seed(1)
    head = FrameMLP(4, 3, hidden_size=[5, 6], dropout=0.0).train()
    layers = [m for pair in zip(head.linears, (nn.BatchNorm1d(5), nn.BatchNorm1d(6))) for m in (*pair, nn.ReLU())]
    plain = nn.Sequential(*layers, head.output)
    x, lengths = torch.randn(2, 7, 4), torch.tensor([7, 3])
    y, y_len = head(x, lengths)
    frames = torch.cat([x[0], x[1, :3]])
    torch.testing.assert_close(torch.cat([y[0], y[1, :3]]), plain(frames))
    assert torch.equal(y_len, lengths) and head.downsample_rate == 1
    head.eval(), plain.eval()
    torch.testing.assert_close(head(x, lengths)[0][1, :3], plain(x[1, :3]))


def test_the_mean_of_the_frames_gives_the_same_output():
    torch.manual_seed(2)
    head = MeanPoolMLP(4, 3, hidden_size=[5]).eval()
    x, lengths = torch.randn(3, 6, 4), torch.tensor([6, 2, 0])
    y, y_len = head(x, lengths)
    means = torch.stack([x[0].mean(dim=0), x[1, :2].mean(dim=0), torch.zeros(4)])[:, None]
    torch.testing.assert_close(y, head(means, torch.ones(3, dtype=torch.long))[0])
    assert head.commutes_with_mean and y.shape == (3, 3) and y_len.tolist() == [1, 1, 1]


def test_one_utterance_can_be_trained_on():
    head = MeanPoolMLP(4, 3, hidden_size=[5]).train()
    assert head(torch.randn(1, 6, 4), torch.tensor([6]))[0].isfinite().all()
