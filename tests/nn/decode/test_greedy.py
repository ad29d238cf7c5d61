"""Greedy CTC decoding against the rule, on every path."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from nn.decode.greedy import GrowingPath, ctc_best_path, ctc_greedy


def slow_greedy(path: list[int], blank: int) -> list[int]:
    return [token for token, _ in itertools.groupby(path) if token != blank]


@pytest.mark.parametrize("blank", [0, 3])
def test_greedy_equals_the_rule_on_every_path_inside_the_length(blank):
    paths = torch.tensor(list(itertools.product(range(4), repeat=4)))
    logits = nn.functional.one_hot(paths, 4).float().log_softmax(-1)
    for length in range(5):
        got = ctc_greedy(logits, torch.full((len(paths),), length), blank)
        assert got == [slow_greedy(path[:length], blank) for path in paths.tolist()]


def test_greedy_with_mixed_lengths_is_greedy_of_each():
    torch.manual_seed(0)
    logits, lens = torch.randn(6, 30, 5), torch.tensor([30, 0, 1, 17, 29, 5])
    expected = [slow_greedy(row[:n].argmax(-1).tolist(), 0) for row, n in zip(logits, lens.tolist())]
    assert ctc_greedy(logits, lens) == expected


@pytest.mark.parametrize("sizes", [[1], [2, 0, 3], [7], [40]])
def test_a_path_that_grows_by_chunks_is_that_of_all_frames(sizes):
    torch.manual_seed(0)
    for _ in range(20):
        logits = torch.randn(1, 40, 3) * 3
        path, place = GrowingPath(), 0
        for size in itertools.cycle(sizes):
            path.add(logits[:, place : place + size])
            place += size
            frames = min(place, 40)
            assert [path.tokens] == ctc_best_path(logits, torch.tensor([frames])) and path.frames == frames
            if place >= 40:
                break
