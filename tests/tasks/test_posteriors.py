"""Pictures of posteriors: what is likely is in them, in order, and they stay small."""

from __future__ import annotations

import json
import random

import torch

from tasks.posteriors import LEVELS, FirstIds, picture

SYMBOLS = ["<blank>", "<unk>", "a", "b", " "]


def test_likely_symbols_are_rows_in_the_order_of_their_peaks():
    probs = torch.zeros(6, 5)
    probs[:, 0] = 1.0
    for frame, token, value in ((0, 3, 1.0), (3, 4, 0.5), (4, 2, 0.25), (4, 3, 0.75), (5, 1, 0.05)):
        probs[frame, 0] -= value
        probs[frame, token] = value
    content = json.loads(picture(probs, SYMBOLS, 0.02))
    assert content["symbols"] == ["b", " ", "a"] and content["frame_sec"] == 0.02
    values = [[int(level, 36) / (len(LEVELS) - 1) for level in row] for row in content["levels"]]
    for row, token in zip(values, (3, 4, 2)):
        assert torch.allclose(torch.tensor(row), probs[:, token], atol=1 / len(LEVELS))


def test_a_long_utterance_is_small_and_keeps_its_peaks():
    probs = torch.zeros(4001, 5)
    probs[:, 0] = 1.0
    probs[4000] = torch.tensor([0, 0, 1.0, 0, 0])
    content = json.loads(picture(probs, SYMBOLS, 0.02))
    (row,) = content["levels"]
    assert len(row) == 364 and row[-1] == "z" and content["frame_sec"] == 0.02 * 11
    assert json.loads(picture(probs[:0], SYMBOLS, None)) == {"symbols": [], "levels": [], "frame_sec": None}


def test_the_first_ids_of_all_are_among_those_that_were_taken():
    ids = [f"{number:03d}" for number in range(200)]
    for seed in range(5):
        order = random.Random(seed).sample(ids, len(ids))
        first = FirstIds(3)
        taken = [id for id in order if first.take(id)]
        assert set(ids[:3]) <= set(taken) and len(taken) < 40 and first.ids == ids[:3]
    assert not FirstIds(0).take("a")
