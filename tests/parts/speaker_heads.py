"""Rules that every head of speaker embeddings keeps."""

from __future__ import annotations

import torch
from torch import nn

LENGTHS = torch.tensor([40, 23, 15, 7, 0])


def count(module: nn.Module) -> int:
    """The number of parameters."""
    return sum(p.numel() for p in module.parameters())


def warmed(head: nn.Module) -> nn.Module:
    """The head after some training batches, so that its norms have statistics."""
    x = torch.randn(3, 30, 6)
    for _ in range(3):
        head(x, torch.tensor([30, 30, 20]))
    return head


def check_batch_and_alone(head: nn.Module) -> None:
    """An utterance has the same embedding in a padded batch as alone."""
    x = torch.randn(5, 40, 6, generator=torch.Generator().manual_seed(0))
    embeddings, ones = head.eval()(x, LENGTHS)
    assert embeddings.shape == (5, 5) and ones.tolist() == [1] * 5
    for row, length, embedding in zip(x, LENGTHS, embeddings):
        alone, _ = head(row[None, : max(int(length), 1)], length[None])
        torch.testing.assert_close(alone[0], embedding, rtol=1e-4, atol=1e-5)


def check_padding_in_training(short: nn.Module, long: nn.Module) -> None:
    """More padding changes neither the output nor the running statistics of two equal heads."""
    x, lengths = torch.randn(2, 20, 6), torch.tensor([20, 16])
    y, _ = short(x, lengths)
    padded, _ = long(nn.functional.pad(x, (0, 0, 0, 9), value=3.0), lengths)
    torch.testing.assert_close(y, padded)
    for (name, expected), (_, buffer) in zip(short.named_buffers(), long.named_buffers()):
        torch.testing.assert_close(buffer, expected, msg=name)


def check_one_short_utterance_trains(head: nn.Module) -> None:
    """A batch of one utterance of two frames has finite gradients."""
    y, _ = head(torch.randn(1, 2, 6), torch.tensor([2]))
    y.square().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in head.parameters() if p.grad is not None)
