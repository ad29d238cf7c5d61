"""The weighted sum of layers: weights, selections, strides, precision."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from nn.featurizer import Featurizer


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
    ("selection", "layers"),
    [(None, [0, 1, 2, 3]), (2, [2]), (-1, [3]), ("last", [3]), ([-1, 0], [3, 0]), ([2], [2]), ([-4], [0])],
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
        (sizes([6] * 4), 4, "has 4, but"),
        (sizes([6] * 4), [4], "has 4, but the upstream has 4 layers: expected -4 to 3"),
        (sizes([6] * 4), [-5], "has -5"),
        (sizes([6] * 4), [1, -3], "names a layer twice"),
        (sizes([6] * 4), [], "a layer index or a list of them"),
        (sizes([6] * 4), "first", "'first', expected"),
        (sizes([6, 8]), None, r"different hidden sizes, \[6, 8\]"),
        (sizes([6, 6], [160, 400]), None, "one frame per 160 samples cannot be brought to one per 400"),
    ],
)
def test_impossible_selections_are_refused(upstream, selection, words):
    with pytest.raises(ValueError, match=words):
        Featurizer(upstream, selection)


def test_weights_are_listed_by_layer():
    featurizer = Featurizer(sizes([6] * 4), [3, 1])
    featurizer.weights.data = torch.tensor([0.0, 1.0])
    weights = featurizer.weight_by_layer()
    assert list(weights) == [3, 1] and sum(weights.values()) == pytest.approx(1.0)
    assert weights[1] / weights[3] == pytest.approx(2.718281828, rel=1e-5)
    assert Featurizer(sizes([6] * 4), "last").weight_by_layer() == {3: 1.0}


def test_layers_of_several_strides_are_brought_to_the_slowest():
    featurizer = Featurizer(sizes([2] * 3, [160, 320, 640]))
    assert featurizer.downsample_rate == 640
    fast, middle, slow = torch.randn(2, 11, 2), torch.randn(2, 6, 2), torch.randn(2, 3, 2)
    lens = [torch.tensor([11, 5]), torch.tensor([6, 3]), torch.tensor([3, 1])]
    for state, length in zip((fast, middle, slow), lens):
        state[1, length[1] :] = float("nan")
    x, length = featurizer([fast, middle, slow], lens)
    assert length.tolist() == [3, 1] and x.shape == (2, 3, 2)
    for row, frame in ((0, 0), (0, 1), (0, 2), (1, 0)):
        near = [
            s[row, frame * r : min(int(n[row]), frame * r + r)].mean(0)
            for s, n, r in zip((fast, middle, slow), lens, (4, 2, 1))
        ]
        torch.testing.assert_close(x[row, frame], torch.stack(near).mean(0))


def test_layers_of_other_sizes_may_be_left_out(states):
    assert Featurizer(sizes([512, 6, 6, 6]), [1, 2]).output_size == 6


def test_another_upstream_s_states_are_refused(states):
    with pytest.raises(ValueError, match="upstream of 4 layers, got hidden states of 3"):
        Featurizer(sizes([6] * 4))(states[0][:3], states[1][:3])
