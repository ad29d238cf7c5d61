"""The readouts of layers, each against a second implementation, frame by frame."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from nn.featurizer import READOUTS, Featurizer
from nn.pooling import MeanPooling
from nn.traits import trait

LENGTHS = torch.tensor([5, 3])


def featurizer_of(readout: str, layers: int = 5, **settings) -> Featurizer:
    """A featurizer of layers of 4 features, with random weights."""
    torch.manual_seed(1)
    sizes = SimpleNamespace(hidden_sizes=[4] * layers, downsample_rates=[320] * layers)
    featurizer = Featurizer(sizes, readout=readout, **settings)
    for parameter in featurizer.parameters():
        parameter.data = torch.randn(parameter.shape)
    return featurizer


def states_of(layers: int = 5) -> list[torch.Tensor]:
    """States whose padding is NaN: nothing may read it."""
    torch.manual_seed(0)
    states = [torch.randn(2, 5, 4) for _ in range(layers)]
    for state in states:
        state[1, 3:] = float("nan")
    return states


def gated(featurizer: Featurizer, states: list[torch.Tensor], per_utterance: bool) -> torch.Tensor:
    x = torch.zeros(2, 5, 4)
    for row, length in enumerate(LENGTHS.tolist()):
        for frame in range(length):
            layers = torch.stack([state[row, frame] for state in states])
            seen = torch.stack([state[row, :length].mean(0) for state in states]) if per_utterance else layers
            scores = [float(h.dot(featurizer.combine.score) + b) for h, b in zip(seen, featurizer.combine.bias)]
            x[row, frame] = torch.tensor(scores).softmax(0) @ layers
    return x


def hierarchical(featurizer: Featurizer, states: list[torch.Tensor]) -> torch.Tensor:
    x = torch.zeros(2, 5, 4)
    for row, length in enumerate(LENGTHS.tolist()):
        for frame in range(length):
            layers = [state[row, frame] for state in states]
            for depth, conv in enumerate(featurizer.combine.convolutions):
                layers = layers if depth == 0 else [layer.clamp_min(0) for layer in layers]
                around = [torch.zeros(4), *layers, torch.zeros(4), torch.zeros(4)]
                taps = [around[start : start + 3] for start in range(0, len(layers), 2)]
                layers = [conv.bias + sum(conv.weight[:, :, k] @ tap[k] for k in range(3)) for tap in taps]
            (x[row, frame],) = layers
    return x


@pytest.mark.parametrize("layers", [2, 3, 5, 8, 13])
@pytest.mark.parametrize("readout", ["mean", "gated", "gated_utterance", "hierarchical"])
def test_each_readout_is_the_one_of_its_definition(readout, layers):
    featurizer, states = featurizer_of(readout, layers), states_of(layers)
    x, lengths = featurizer(states, LENGTHS)
    expected = {
        "mean": lambda: torch.stack(states).mean(0),
        "gated": lambda: gated(featurizer, states, per_utterance=False),
        "gated_utterance": lambda: gated(featurizer, states, per_utterance=True),
        "hierarchical": lambda: hierarchical(featurizer, states),
    }[readout]()
    assert lengths.tolist() == [5, 3] and x.shape == (2, 5, 4)
    for row, length in enumerate((5, 3)):
        torch.testing.assert_close(x[row, :length], expected[row, :length], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("readout", READOUTS)
def test_pooling_first_gives_the_same_if_the_trait_says_so(readout):
    featurizer, states = featurizer_of(readout), states_of()
    pooling = MeanPooling()
    after = pooling(featurizer(states, LENGTHS)[0], LENGTHS)
    means = [pooling(state, LENGTHS).unsqueeze(1) for state in states]
    first = featurizer(means, torch.ones(2, dtype=torch.int64))[0].squeeze(1)
    assert torch.allclose(first, after, atol=1e-5) == trait(featurizer, "commutes_with_mean")
    assert trait(featurizer_of(readout, normalize=True), "commutes_with_mean") is False


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("normalize", [False, True])
def test_cached_states_of_the_needed_layers_alone_give_the_same(readout, normalize):
    featurizer = featurizer_of(readout, layer_selections=[1, 3, 4], normalize=normalize)
    states = [state.nan_to_num() for state in states_of()]
    whole, _ = featurizer(states, LENGTHS)
    assert featurizer.needed_layers == [1, 3, 4]
    half, _ = featurizer([states[layer].half() for layer in featurizer.needed_layers], LENGTHS)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, whole, rtol=0.02, atol=0.02)


def test_gates_are_equal_at_the_start_and_every_parameter_is_trained():
    for readout in ("gated", "gated_utterance", "hierarchical"):
        sizes = SimpleNamespace(hidden_sizes=[4] * 5, downsample_rates=[320] * 5)
        featurizer, states = Featurizer(sizes, readout=readout), [state.nan_to_num() for state in states_of()]
        x, _ = featurizer(states, LENGTHS)
        if readout != "hierarchical":
            torch.testing.assert_close(x, torch.stack(states).mean(0))
        x.square().sum().backward()
        assert all(parameter.grad.abs().sum() > 0 for parameter in featurizer.parameters())


def test_weights_by_layer_are_told_only_if_there_are_any():
    assert featurizer_of("mean").weight_by_layer() == pytest.approx(dict.fromkeys(range(5), 0.2))
    assert not list(featurizer_of("mean").parameters())
    assert featurizer_of("gated").weight_by_layer() == featurizer_of("hierarchical").weight_by_layer() == {}
    with pytest.raises(ValueError, match="gated has no weights"):
        featurizer_of("gated").layer_weights()
    assert not list(featurizer_of("gated", layer_selections="last").parameters())  # one layer is the result itself
    with pytest.raises(ValueError, match="'sum', expected one of weighted_sum, mean"):
        featurizer_of("sum")
