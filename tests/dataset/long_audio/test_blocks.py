"""The blocks of a file, and chunks of any size, are resampled as the whole is."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dataset import audio
from dataset.long_audio.blocks import Resampling, blocks


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 44099, 96000])
@pytest.mark.parametrize("seconds", [0.4, 1.0, 30.0])
def test_the_blocks_of_a_file_are_the_file(write, rate, seconds):
    noise = np.random.default_rng(0).standard_normal((int(3.7 * rate), 2)).astype(np.float32) * 0.1
    path = write("a.wav", noise, rate, subtype="FLOAT")
    parts, whole = list(blocks(path, seconds)), audio.read(path)
    assert len(parts) > 1 or seconds > 3.7
    assert max(map(len, parts)) <= 2 * seconds * 16000
    assert torch.cat(parts).shape == whole.shape and (torch.cat(parts) - whole).abs().max() < 1e-6


@pytest.mark.parametrize("rate", [8000, 44100, 48000])
def test_chunks_of_any_size_are_resampled_as_the_whole(rate):
    noise = torch.from_numpy(np.random.default_rng(0).standard_normal(rate)).float()
    resampling, sizes = Resampling(rate), [rate // 50, 1, 0, rate // 7]
    for _ in range(2):  # the second recording knows nothing of the first
        pieces = [
            resampling.add(own)
            for own in noise.split(sizes + [rate // 10] * 8 + [rate - sum(sizes) - 8 * (rate // 10)])
        ]
        resampled = torch.cat([*pieces, resampling.finish()])
        assert (resampled - audio.resampler(rate)(noise)).abs().max() < 1e-6
    assert not len(Resampling(rate).finish())
