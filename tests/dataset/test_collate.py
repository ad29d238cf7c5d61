"""Batches: padded with zeros, with lengths, and of one form whatever the lengths are."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dataset.collate import CollateError, collate


def item(name, length, **more):
    return {"id": name, "wav": torch.full((length,), 1.0), "wav_len": length, **more}


def test_wav_and_tokens():
    batch = collate(
        [
            item("a", 2, tokens=torch.tensor([5, 6, 7]), text="null"),
            item("b", 4, tokens=torch.tensor([8]), text=""),
        ]
    )
    assert list(batch) == ["id", "wav", "wav_len", "tokens", "tokens_len", "text"]
    assert batch["id"] == ["a", "b"] and batch["text"] == ["null", ""]
    assert batch["wav"].tolist() == [[1, 1, 0, 0], [1, 1, 1, 1]] and batch["wav"].dtype == torch.float32
    assert batch["wav_len"].tolist() == [2, 4] and batch["wav_len"].dtype == torch.int64
    assert batch["tokens"].tolist() == [[5, 6, 7], [8, 0, 0]] and batch["tokens"].dtype == torch.int64
    assert batch["tokens_len"].tolist() == [3, 1] and batch["tokens_len"].dtype == torch.int64


def test_lengths_are_there_for_a_single_item_and_for_equal_lengths():
    for count in (1, 2):
        batch = collate([item("a", 2, tokens=torch.tensor([1, 2]))] * count)
        assert batch["tokens_len"].tolist() == [2] * count


def test_zero_length_tensors():
    batch = collate([{"tokens": torch.zeros(0, dtype=torch.int64)}, {"tokens": torch.tensor([3, 4])}])
    assert batch["tokens"].tolist() == [[0, 0], [3, 4]] and batch["tokens_len"].tolist() == [0, 2]
    batch = collate([{"tokens": torch.zeros(0, dtype=torch.int64)}])
    assert batch["tokens"].shape == (1, 0) and batch["tokens_len"].tolist() == [0]


def test_matrices_are_padded_along_the_first_dimension():
    batch = collate([{"activity": torch.ones(3, 2)}, {"activity": np.ones((5, 2), dtype=np.float32)}])
    assert batch["activity"].shape == (2, 5, 2) and batch["activity_len"].tolist() == [3, 5]
    assert batch["activity"][0].sum() == 6


def test_hidden_states():
    def states(*lengths):
        return [torch.full((length, 4), float(length)) for length in lengths]

    batch = collate([{"id": "a", "hidden_states": states(2, 3)}, {"id": "b", "hidden_states": states(5, 1)}])
    assert [tuple(layer.shape) for layer in batch["hidden_states"]] == [(2, 5, 4), (2, 3, 4)]
    assert [lengths.tolist() for lengths in batch["hidden_lens"]] == [[2, 5], [3, 1]]
    assert all(lengths.dtype == torch.int64 for lengths in batch["hidden_lens"])
    assert batch["hidden_states"][0][0, 2:].abs().sum() == 0


def test_scalars_and_vectors_of_fixed_size():
    first = {
        "label": 3,
        "score": 1,
        "labels": [1, 2, 3],
        "weights": (1, 0.5),
        "words": ["a", "b"],
        "zero": True,
    }
    second = {
        "label": np.int64(4),
        "score": 0.5,
        "labels": [4, 5, 6],
        "weights": (2, 3),
        "words": [],
        "zero": False,
    }
    batch = collate([first, second])
    assert list(batch) == list(first)  # no lengths
    assert batch["label"].tolist() == [3, 4] and batch["label"].dtype == torch.int64
    assert batch["score"].tolist() == [1, 0.5] and batch["score"].dtype == torch.float32
    assert batch["labels"].tolist() == [[1, 2, 3], [4, 5, 6]] and batch["labels"].dtype == torch.int64
    assert batch["weights"].tolist() == [[1, 0.5], [2, 3]]
    assert batch["words"] == [["a", "b"], []] and batch["zero"].tolist() == [True, False]
    assert collate([{"x": torch.tensor(3)}, {"x": torch.tensor(4)}])["x"].tolist() == [3, 4]


@pytest.mark.parametrize(
    "items, message",
    [
        ([], "at least one item"),
        ([item("a", 2), item("b", 2, text="x")], r"utterance 'a' and utterance 'b' has \['text'\]"),
        (
            [item("a", 2, y=torch.ones(3, 2)), item("b", 2, y=torch.ones(3, 4))],
            r"'y' of utterance 'b'.*\(3, 4\)",
        ),
        (
            [item("a", 2, y=torch.ones(3)), item("b", 2, y=torch.ones(3).long())],
            "'b' is a int64 .*'a' a float32",
        ),
        ([item("a", 2, y=torch.ones(3)), item("b", 2, y=3)], "'y' of utterance 'b' is of type int"),
        ([item("a", 2, y=None)], "'y' of utterance 'a' is of type NoneType.*expected"),
        ([item("a", 2, y=[1, 2]), item("b", 2, y=[1])], "'y' of utterance 'b' has 1 entries.*'a' 2"),
        (
            [item("a", 2, h=[torch.ones(1)] * 2), item("b", 2, h=[torch.ones(1)])],
            "'h' of utterance 'b' has 1",
        ),
    ],
)
def test_items_that_do_not_fit_are_named(items, message):
    with pytest.raises(CollateError, match=f"(?s){message}"):
        collate(items)


def test_items_are_left_as_they_are():
    items = [item("a", 2), item("b", 3)]
    batch = collate(items)
    batch["wav"].zero_()
    assert items[1]["wav"].sum() == 3 and list(items[0]) == ["id", "wav", "wav_len"]
