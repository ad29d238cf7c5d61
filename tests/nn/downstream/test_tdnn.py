"""The time-delay classifier: padding, short utterances, what it sees, what it refuses."""

from __future__ import annotations

import pytest
import torch

from nn.downstream.tdnn import TDNN

LENGTHS = torch.tensor([60, 41, 13, 2, 0])


@pytest.fixture
def head():
    torch.manual_seed(0)
    head = TDNN(8, 5, channels=[16, 12], stack=2)
    head(torch.randn(4, 60, 8), torch.full((4,), 60))  # so that the norms have statistics of their own
    return head.eval()


def test_an_utterance_gives_the_same_in_a_padded_batch_as_alone(head):
    x = torch.randn(5, 60, 8)
    together, lengths = head(x, LENGTHS)
    assert together.shape == (5, 5) and lengths.tolist() == [1] * 5
    for row, length in enumerate(LENGTHS.tolist()):
        alone, _ = head(x[row : row + 1, : max(length, 1)], LENGTHS[row : row + 1])
        torch.testing.assert_close(alone[0], together[row], rtol=1e-4, atol=1e-5)


def test_what_is_past_the_length_does_not_matter(head):
    x = torch.randn(5, 60, 8)
    other = x.clone()
    for row, length in enumerate(LENGTHS.tolist()):
        other[row, length:] = torch.nan
    torch.testing.assert_close(head(other, LENGTHS)[0], head(x, LENGTHS)[0])


def test_the_layers_are_normalised_over_the_batch():
    torch.manual_seed(0)
    head, x = TDNN(8, 5, channels=[16, 12], dropout=0.0), torch.randn(4, 60, 8)
    lengths = torch.full((4,), 60)
    torch.testing.assert_close(head(x, lengths)[0], head(100 * x, lengths)[0], rtol=0.05, atol=0.05)


def test_the_order_of_frames_counts_within_what_the_layers_see(head):
    x = torch.randn(1, 60, 8)
    assert not torch.allclose(head(x, LENGTHS[:1])[0], head(x.flip(1), LENGTHS[:1])[0])
    assert head.context == 1 + 2 + 4


def test_every_parameter_is_trained_and_one_utterance_is_enough():
    head = TDNN(8, 5, channels=[16], pooling="attentive_statistics").train()
    head(torch.randn(1, 30, 8), torch.tensor([30]))[0].square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in head.parameters())


@pytest.mark.parametrize("wrong", [{"channels": []}, {"channels": [0]}, {"stack": 0}, {"pooling": "men"}])
def test_settings_that_cannot_be_are_refused(wrong):
    with pytest.raises(ValueError, match="expected"):
        TDNN(8, 5, **wrong)
