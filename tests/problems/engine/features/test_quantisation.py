"""States in 8 bits: within half a step, small, and as far from the exact ones as the log and the shard say."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import torch
from safetensors import safe_open

from nn.downstream.linear import FrameLinear, MeanPoolLinear
from problems.engine.features.attach import CachedFeatures, attach_features
from problems.engine.features.extraction import FeatureExtractor
from problems.engine.features.quantisation import LayerErrors, pack, unpack
from tests.parts.features import Convolution, settings, states_alone, task_of

ALL = range(11)


def uneven(frames: int = 200, size: int = 16) -> torch.Tensor:
    """Features whose offsets and scales differ by orders of magnitude, and one that is constant."""
    generator = torch.Generator().manual_seed(0)
    scales = torch.logspace(-3, 2, size)
    x = torch.randn(frames, size, generator=generator) * scales + 20 * scales.flip(0)
    x[:, 3] = 7.25
    return x


@pytest.mark.parametrize("frames", [1, 2, 200])
def test_every_value_is_within_half_a_step_of_its_own_feature(frames):
    x = uneven(frames)
    packed = pack(x)
    assert packed.dtype == torch.int8 and packed.shape == (frames + 8, 16)
    y = unpack(packed)
    assert y.dtype == torch.float16 and y.shape == x.shape
    half_step = (x.amax(0) - x.amin(0)) / 254 / 2
    rounding = x.abs() * 2**-11  # of float16
    assert bool(((y.float() - x).abs() <= 1.001 * half_step + rounding + 1e-7).all())
    torch.testing.assert_close(y[:, 3], x[:, 3].half(), rtol=0, atol=0)


def test_nothing_is_left_of_nothing_and_values_beyond_half_precision_are_refused():
    assert pack(torch.zeros(0, 6)).shape == unpack(pack(torch.zeros(0, 6))).shape == (0, 6)
    for value in (1e6, float("nan"), float("-inf")):
        with pytest.raises(ValueError, match="beyond 65504, or that are not numbers"):
            pack(torch.tensor([[1.0, value]]))


def test_the_stated_error_is_the_measured_one():
    errors, squared, total = LayerErrors(), np.zeros(2), np.zeros(2)
    for seed in range(4):
        generator = torch.Generator().manual_seed(seed)
        states = [uneven() + 50, torch.randn(120, 16, generator=generator).exp()]
        errors.add([pack(state) for state in states])
        for layer, state in enumerate(states):
            wide = state.double()
            head, frames = pack(state)[:8], pack(state)[8:].double()
            step = head[4:].T.contiguous().view(torch.float32).squeeze(1).double()
            offset = head[:4].T.contiguous().view(torch.float32).squeeze(1).double()
            squared[layer] += float((offset + frames * step - wide).square().sum())
            total[layer] += float((wide - wide.mean(0)).square().sum())
    np.testing.assert_allclose(errors.relative(), np.sqrt(squared / total), rtol=0.05)


def test_a_cache_in_8_bits_is_small_and_states_its_error(data, root, caplog):
    caplog.set_level("INFO")
    task = task_of(FrameLinear(6, 3))
    dataset = attach_features(task, data, settings(root, dtype="int8"), ALL)
    assert isinstance(dataset, CachedFeatures)
    for index in range(len(data)):
        for state, exact in zip(dataset[index]["hidden_states"], states_alone(task, data, index)):
            assert state.dtype == torch.float16 and state.shape == exact.shape
            if len(exact):
                step = (exact.amax(0) - exact.amin(0)) / 254
                assert bool(((state.float() - exact).abs() <= 0.51 * step + exact.abs() * 2**-11 + 1e-6).all())
    (path,) = root.glob("Convolution-*-int8/*.safetensors")
    with safe_open(path, "pt") as file:
        stated = json.loads(file.metadata()["relative_error"])
    logged = re.search(r"relative to the deviation: 0: ([\d.]+) %, 1: ([\d.]+) %, 2: ([\d.]+) %", caplog.text)
    assert [float(text) for text in logged.groups()] == pytest.approx([100 * e for e in stated], abs=0.006)
    assert all(0 < error < 0.01 for error in stated)
    first = [dataset[index]["hidden_states"] for index in range(len(data))]
    again = attach_features(task_of(FrameLinear(6, 3)), data, settings(root, dtype="int8"), ALL)
    same = (torch.equal(a, b) for i in range(len(data)) for a, b in zip(first[i], again[i]["hidden_states"]))
    assert all(same)


def test_sizes_follow_from_the_lengths_and_means_stay_in_half_precision(data, root):
    extractor = FeatureExtractor(Convolution(), [0, 2], False, "int8")
    for index in range(len(data)):
        wav = data[index]["wav"]
        (states,) = extractor(wav[None], torch.tensor([len(wav)]))
        assert sum(s.nbytes for s in states) == extractor.sizes(np.array([data.seconds[index]]))[0]
    attach_features(task_of(MeanPoolLinear(6, 3)), data, settings(root, dtype="int8"), ALL)
    assert [path.parent.name.partition("-")[2][17:] for path in root.glob("*/*.safetensors")] == ["fp16-mean"]


def test_an_upstream_with_values_beyond_half_precision_is_not_cached(data, root, caplog):
    task = task_of(FrameLinear(6, 3), Convolution(gain=1e8))
    assert attach_features(task, data, settings(root, dtype="int8"), ALL) is data
    assert "use --features.dtype fp32" in caplog.text
