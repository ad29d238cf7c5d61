"""Long recordings in pieces: nothing lost, none too long, and no word cut."""

from __future__ import annotations

import pytest
import torch

from dataset import SAMPLE_RATE
from dataset.long_audio.chunking import at_pauses, in_windows


@pytest.mark.parametrize("samples", [0, 1, 479_999, 480_000, 480_001, 1_600_000, 2_345_678])
def test_the_pieces_are_all_of_it_in_order_and_none_is_over_the_limit(samples):
    wav = torch.randn(samples, generator=torch.Generator().manual_seed(samples))
    pieces = list(at_pauses(wav))
    assert torch.equal(torch.cat(pieces), wav)
    assert all(len(piece) <= 30 * SAMPLE_RATE for piece in pieces)
    assert len(pieces) == 1 or min(map(len, pieces)) > 0


@pytest.mark.parametrize("shift", [0.0, 0.01, 0.037])
def test_cuts_fall_into_pauses(shift):
    seconds = torch.arange(200 * SAMPLE_RATE) / SAMPLE_RATE + shift
    speaking = seconds % 7 < 6.7  # a pause of 0.3 s every 7 s
    noise = torch.randn(len(seconds), generator=torch.Generator().manual_seed(0))
    wav = torch.where(speaking, noise * 0.3, noise * 0.001)
    at = 0
    for piece in list(at_pauses(wav))[:-1]:
        at += len(piece)
        assert not speaking[at - SAMPLE_RATE // 50 : at + SAMPLE_RATE // 50].any()


def test_silence_is_cut_too():
    pieces = list(at_pauses(torch.zeros(100 * SAMPLE_RATE)))
    assert sum(map(len, pieces)) == 100 * SAMPLE_RATE and len(pieces) <= 5


def test_other_limits():
    wav = torch.randn(16 * SAMPLE_RATE)
    pieces = list(at_pauses(wav, seconds=5, search=2))
    assert torch.equal(torch.cat(pieces), wav) and max(map(len, pieces)) <= 5 * SAMPLE_RATE


@pytest.mark.parametrize("block", [16000, 479_999, 1_000_000])
def test_the_cuts_do_not_depend_on_the_blocks(block):
    wav = torch.randn(2_345_678, generator=torch.Generator().manual_seed(0))
    whole, streamed = list(at_pauses(wav)), list(at_pauses(wav.split(block)))
    assert len(whole) == len(streamed) and all(torch.equal(*pair) for pair in zip(whole, streamed))


@pytest.mark.parametrize("samples", [1, 960_000, 960_001, 5_000_003])
@pytest.mark.parametrize("block", [16000, 480_000])
def test_windows_are_equal_to_a_sample_and_all_of_it(samples, block):
    wav = torch.arange(samples)
    windows = list(in_windows(wav.float().split(block), samples, 60.0))
    assert torch.equal(torch.cat(windows), wav.float())
    lengths = [len(own) for own in windows]
    assert max(lengths) - min(lengths) <= 1 and max(lengths) <= 60 * SAMPLE_RATE
    assert len(lengths) == -(-samples // (60 * SAMPLE_RATE))
