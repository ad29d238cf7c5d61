"""Encoders of others: their frames are measured, and a batch has the states of each utterance alone."""

from __future__ import annotations

import pytest
import torch

from nn.upstream.by_length import by_length, measured


@pytest.mark.parametrize("stride, field", [(320, 400), (160, 400), (441, 1024), (1280, 1280), (16000, 16000), (1, 1)])
def test_the_rule_of_convolutions_and_of_centred_windows_is_found(stride, field):
    rule = measured(lambda n: (n - field) // stride + 1)
    assert (rule.stride, rule.offset, rule.minimum) == (stride, stride - field, field)
    samples = torch.tensor([0, field - 1, field, field + stride - 1, field + stride])
    assert rule.frames(samples).tolist() == [0, 0, 1, 1, 2]
    assert measured(lambda n: 1 + n // stride).offset == stride


def test_an_encoder_that_refuses_short_audio_gets_more():
    def count(samples: int) -> int:
        if samples < 900:
            raise RuntimeError("Kernel size can't be greater than actual input size")
        return samples // 320

    rule = measured(count)
    assert 900 <= rule.minimum <= 1800 and rule.frames(torch.tensor([rule.minimum - 1, 3200])).tolist() == [0, 10]


@pytest.mark.parametrize("count", [lambda n: 7, lambda n: int(n**0.5), lambda n: n // 320 + (n > 40000)])
def test_frames_that_are_not_evenly_spaced_are_refused(count):
    with pytest.raises(ValueError, match="expected evenly spaced|expected a frame at least"):
        measured(count)


def test_each_row_is_encoded_at_its_own_length():
    seen = []

    def encode(wav: torch.Tensor) -> list[torch.Tensor]:
        seen.append(tuple(wav.shape))
        return [wav.unfold(1, 10, 10).sum(-1, keepdim=True)]

    wav = torch.arange(120.0).view(4, 30)
    (x,) = by_length(wav, torch.tensor([30, 10, 30, 20]), encode)
    assert sorted(seen) == [(1, 10), (1, 20), (2, 30)]
    expected = wav.unfold(1, 10, 10).sum(-1)
    for row, frames in enumerate((3, 1, 3, 2)):
        assert torch.equal(x[row, :frames, 0], expected[row, :frames]) and not x[row, frames:].any()
