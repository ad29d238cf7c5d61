"""The weighted sum of cached states against autograd's own."""

from __future__ import annotations

import pytest
import torch

from nn.featurizer import Featurizer
from nn.weighted_sum import weighted_sum


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_value_and_gradient_are_those_of_autograd(dtype):
    torch.manual_seed(0)
    states = [torch.randn(3, 7, 5).to(dtype) for _ in range(4)]
    weights, gradient = torch.randn(4, requires_grad=True), torch.randn(3, 7, 5)
    plain = sum(w * s.float() for w, s in zip(weights, states))
    total = weighted_sum(weights, states)
    assert total.dtype == torch.float32
    torch.testing.assert_close(total, plain, rtol=1e-5, atol=1e-6)
    (expected,) = torch.autograd.grad(plain, weights, gradient)
    torch.testing.assert_close(torch.autograd.grad(total, weights, gradient)[0], expected, rtol=1e-5, atol=1e-5)


def test_a_featurizer_sums_half_precision_as_it_sums_single():
    torch.manual_seed(0)

    class Sizes:
        hidden_sizes, downsample_rates = [5] * 4, [320] * 4

    featurizer, lengths = Featurizer(Sizes, [3, 1]), torch.tensor([7, 4, 1])
    torch.nn.init.normal_(featurizer.weights)
    cached = [torch.randn(3, 7, 5).half() for _ in range(4)]
    results = []
    for states in (cached, [s.float() for s in cached], [cached[3], cached[1]], torch.stack(cached)):
        x, lens = featurizer(states, lengths)
        x.square().sum().backward()
        results.append((x.detach(), featurizer.weights.grad.clone()))
        featurizer.weights.grad = None
        assert torch.equal(lens, lengths)
    for x, gradient in results[1:]:
        torch.testing.assert_close(x, results[0][0], rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(gradient, results[0][1], rtol=1e-4, atol=1e-4)
