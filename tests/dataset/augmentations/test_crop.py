"""Random pieces."""

from __future__ import annotations

import pytest
import torch

from dataset.augmentations.crop import RandomCrop


def test_a_piece_is_a_stretch_of_the_utterance_another_each_time_and_follows_the_generator():
    wav, crop = torch.arange(16000), RandomCrop(0.25)
    torch.manual_seed(5)
    pieces = [crop(wav) for _ in range(200)]
    assert all(len(piece) == 4000 and (piece.diff() == 1).all() for piece in pieces)
    starts = {int(piece[0]) for piece in pieces}
    assert len(starts) > 150 and min(starts) < 500 and max(starts) > 11500 and max(starts) <= 12000
    torch.manual_seed(5)
    assert int(crop(wav)[0]) == int(pieces[0][0])


def test_an_utterance_shorter_than_the_crop_is_kept_whole():
    for length in (0, 1, 3999, 4000):
        assert len(RandomCrop(0.25)(torch.zeros(length))) == length
    with pytest.raises(ValueError, match="has no sample"):
        RandomCrop(0.00001)
