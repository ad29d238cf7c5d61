from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from nn.featurizer import Featurizer
from nn.pooling import MeanPooling


def sizes(hidden: list[int], rates: list[int] | None = None) -> SimpleNamespace:
    return SimpleNamespace(hidden_sizes=hidden, downsample_rates=rates or [320] * len(hidden))


@pytest.fixture
def states() -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    torch.manual_seed(0)
    return [torch.randn(2, 7, 6) for _ in range(4)], [torch.tensor([7, 3])] * 4


def test_weights_are_equal_at_the_start_and_train(states):
    featurizer = Featurizer(sizes([6] * 4))
    torch.testing.assert_close(featurizer.layer_weights(), torch.full((4,), 0.25))
    x, lengths = featurizer(*states)
    torch.testing.assert_close(x, torch.stack(states[0]).mean(0))
    assert lengths.tolist() == [7, 3]
    assert (featurizer.output_size, featurizer.downsample_rate) == (6, 320)
    (x * states[0][2]).sum().backward()
    assert featurizer.weights.grad.argmax() == 2


def test_any_weights_give_the_softmax_weighted_sum(states):
    featurizer = Featurizer(sizes([6] * 4), normalize=True)
    featurizer.weights.data = torch.tensor([0.1, -2.0, 3.0, 0.5])
    weights = torch.tensor([0.1, -2.0, 3.0, 0.5]).exp()
    expected = 0
    for weight, state in zip(weights / weights.sum(), states[0]):
        centred = state - state.mean(-1, keepdim=True)
        expected = expected + weight * centred / (state.var(-1, correction=0, keepdim=True) + 1e-5).sqrt()
    torch.testing.assert_close(featurizer(*states)[0], expected)
    torch.testing.assert_close(featurizer(torch.stack(states[0]), states[1][0])[0], expected)


@pytest.mark.parametrize(
    ("selection", "layers"), [(None, [0, 1, 2, 3]), ("last", [3]), ([-1, 0], [3, 0]), ([2], [2]), ([-4], [0])]
)
def test_layer_selections(states, selection, layers):
    featurizer = Featurizer(sizes([6] * 4), layer_selections=selection)
    assert featurizer.layers == layers
    assert featurizer.layer_weights().shape == (len(layers),)
    torch.testing.assert_close(featurizer(*states)[0], torch.stack([states[0][i] for i in layers]).mean(0))


def test_one_layer_is_passed_through_and_has_no_weights(states):
    featurizer = Featurizer(sizes([6] * 4), "last")
    assert not list(featurizer.parameters())
    assert featurizer(*states)[0] is states[0][3]
    assert featurizer.layer_weights().tolist() == [1.0]


def test_half_precision_states_are_summed_in_float32(states):
    half = [state.half() for state in states[0]]
    x, _ = Featurizer(sizes([6] * 4))(half, states[1])
    assert x.dtype == torch.float32
    torch.testing.assert_close(x, torch.stack(half).float().mean(0))


@pytest.mark.parametrize(
    ("upstream", "selection", "words"),
    [
        (sizes([6] * 4), [4], "has 4, but the upstream has 4 layers: expected -4 to 3"),
        (sizes([6] * 4), [-5], "has -5"),
        (sizes([6] * 4), [1, -3], "names a layer twice"),
        (sizes([6] * 4), [], "expected a list"),
        (sizes([6] * 4), "first", "'first', expected"),
        (sizes([6, 8]), None, r"different hidden sizes, \[6, 8\]"),
        (sizes([6, 6], [160, 320]), None, r"different downsample rates, \[160, 320\]"),
    ],
)
def test_impossible_selections_are_refused(upstream, selection, words):
    with pytest.raises(ValueError, match=words):
        Featurizer(upstream, selection)


def test_layers_of_other_sizes_may_be_left_out(states):
    assert Featurizer(sizes([512, 6, 6, 6]), [1, 2]).output_size == 6


def test_another_upstream_s_states_are_refused(states):
    with pytest.raises(ValueError, match="upstream of 4 layers, got hidden states of 3"):
        Featurizer(sizes([6] * 4))(states[0][:3], states[1][:3])


def test_mean_pooling_ignores_padding_and_survives_nothing():
    x = torch.randn(3, 5, 4)
    x[1, 2:] = float("nan")
    pooled = MeanPooling()(x, torch.tensor([5, 2, 0]))
    torch.testing.assert_close(pooled[0], x[0].mean(0))
    torch.testing.assert_close(pooled[1], x[1, :2].mean(0))
    assert not pooled[2].any()
