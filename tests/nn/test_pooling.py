"""Poolings over the true frames of padded batches."""

from __future__ import annotations

import pytest
import torch

from nn.pooling import POOLINGS, AttentiveStatisticsPooling, MeanPooling, SelfAttentivePooling, build_pooling

LENGTHS = torch.tensor([9, 4, 1, 0])


def padded(fill: float) -> torch.Tensor:
    x = torch.randn(4, 9, 6, generator=torch.Generator().manual_seed(0))
    for row, length in zip(x, LENGTHS):
        row[length:] = fill
    return x


@pytest.mark.parametrize("name", POOLINGS)
def test_an_utterance_in_a_padded_batch_is_pooled_as_alone(name):
    torch.manual_seed(0)
    pooling = build_pooling(name, 6)
    whole = pooling(padded(float("nan")), LENGTHS)
    assert whole.shape == (4, pooling.output_size) and torch.isfinite(whole).all()
    for row, length, pooled in zip(padded(7.0), LENGTHS, whole):
        alone = pooling(row[None, : max(length, 1)], length[None])
        torch.testing.assert_close(alone[0], pooled)


@pytest.mark.parametrize("name", POOLINGS)
def test_gradients_are_finite_for_constant_single_and_absent_frames(name):
    pooling = build_pooling(name, 6)
    x = torch.ones(4, 9, 6, requires_grad=True)
    pooling(x, LENGTHS).sum().backward()
    assert torch.isfinite(x.grad).all()
    assert (x.grad[3] == 0).all() and (x.grad[1, 4:] == 0).all()


def test_statistics_are_those_of_numpy():
    x = padded(0.0)
    pooled = build_pooling("statistics", 6)(x, LENGTHS)
    frames = x[1, :4].numpy()
    torch.testing.assert_close(pooled[1, :6], torch.from_numpy(frames.mean(0)))
    torch.testing.assert_close(pooled[1, 6:], torch.from_numpy(frames.std(0)))
    assert (pooled[2, 6:] < 1e-5).all()  # one frame does not vary


@pytest.mark.parametrize("name", ["statistics", "attentive_statistics"])
def test_small_deviations_are_exact_and_have_a_gradient(name):
    """Features behind untrained layers deviate by about a thousandth: no floor may replace their deviation."""
    torch.manual_seed(0)
    pooling = build_pooling(name, 6)
    x = (1 + 1e-3 * torch.randn(1, 50, 6)).requires_grad_()
    deviations = pooling(x, torch.tensor([50]))[:, 6:]
    torch.testing.assert_close(deviations, x.std(dim=1, correction=0), rtol=0.2, atol=0)
    (gradient,) = torch.autograd.grad(deviations.sum(), x)
    assert (gradient.abs().amax(dim=1) > 1e-3).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_the_deviation_of_equal_frames_has_a_finite_gradient_in_half_precision(dtype):
    x = torch.ones(2, 9, 6, dtype=dtype, requires_grad=True)
    build_pooling("statistics", 6)(x, torch.tensor([9, 1])).sum().backward()
    assert x.grad.isfinite().all()


def test_attention_written_out_for_one_utterance():
    torch.manual_seed(1)
    frames = torch.randn(5, 6)
    self_attentive = SelfAttentivePooling(6)
    weights = torch.stack([self_attentive.score(torch.tanh(self_attentive.hidden(f)))[0] for f in frames]).softmax(0)
    expected = sum(w * f for w, f in zip(weights, frames))
    torch.testing.assert_close(self_attentive(frames[None], torch.tensor([5]))[0], expected)

    pooling = AttentiveStatisticsPooling(6, 3)
    context = torch.cat([frames.mean(0), frames.std(0, correction=0)])
    scores = [pooling.score(torch.tanh(pooling.hidden(torch.cat([f, context])))) for f in frames]
    weights = torch.stack(scores).softmax(0)  # of its own for every channel
    mean = (weights * frames).sum(0)
    deviation = (weights * frames.square()).sum(0).sub(mean.square()).sqrt()
    torch.testing.assert_close(pooling(frames[None], torch.tensor([5]))[0], torch.cat([mean, deviation]))


def test_attentive_statistics_without_context_are_those_of_frames_alone():
    pooling = AttentiveStatisticsPooling(6, 3, global_context=False)
    assert pooling.hidden.in_features == 6
    assert pooling(padded(0.0), LENGTHS).shape == (4, 12)


def test_an_unknown_pooling_names_the_known_ones():
    with pytest.raises(ValueError, match="'max', expected one of mean, statistics"):
        build_pooling("max", 6)


def test_mean_pooling_ignores_padding_and_survives_nothing():
    x = torch.randn(3, 5, 4)
    x[1, 2:] = float("nan")
    pooled = MeanPooling()(x, torch.tensor([5, 2, 0]))
    torch.testing.assert_close(pooled[0], x[0].mean(0))
    torch.testing.assert_close(pooled[1], x[1, :2].mean(0))
    assert not pooled[2].any()
