"""The frames of tokens on the likeliest path."""

from __future__ import annotations

import itertools

import torch

from nn.decode.align import filled, token_frames


def test_the_frames_are_those_of_the_likeliest_of_all_paths():
    generator = torch.Generator().manual_seed(0)
    for tokens in ([1, 2], [1, 1], [2], [1, 2, 1]):
        log_probs = torch.randn(6, 3, generator=generator).log_softmax(-1)
        best = max(
            (path for path in itertools.product(range(3), repeat=6) if _collapsed(path) == tokens),
            key=lambda path: sum(float(log_probs[frame, own]) for frame, own in enumerate(path)),
        )
        frames = token_frames(log_probs, tokens)
        assert all(best[frame] == own for own, (a, b) in zip(tokens, frames) for frame in range(a, b + 1))
        assert sum(b - a + 1 for a, b in frames) == sum(own != 0 for own in best)


def _collapsed(path):
    return [own for own, _ in itertools.groupby(path) if own]


def test_too_few_frames_have_no_path():
    assert token_frames(torch.zeros(2, 3), [1, 1]) is None and token_frames(torch.zeros(2, 3), []) == []


def test_a_token_lasts_until_the_next_unless_there_is_a_pause():
    assert filled([(0, 1), (4, 4), (9, 9)], longest_gap=2) == [(0, 3), (4, 4), (9, 9)]
    assert filled([], 3) == []
