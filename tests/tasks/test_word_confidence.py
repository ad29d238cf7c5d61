"""The confidence of words: learnt on validation for the best path, kept in checkpoints, as it is after a search."""

from __future__ import annotations

import json
import random

import pytest
import torch

from dataset.encoders import build_encoder
from tasks.ctc import CTCTask

ENCODER = build_encoder("character", ["ab ba"])


class Frames(torch.nn.Module):
    """Outputs as they are given."""

    downsample_rate = 320

    def forward(self, wav, wav_len):
        return wav, wav_len


def batch(seed: int, count: int = 60) -> dict:
    """Utterances of a model that is sure of every symbol, and wrong in a third of them."""
    rng, rows, texts = random.Random(seed), [], []
    for _ in range(count):
        text = " ".join(rng.choice(["ab", "ba", "aa", "bb"]) for _ in range(4))
        said = "".join(rng.choice("ab") if letter != " " and rng.random() < 0.3 else letter for letter in text)
        logits = torch.zeros(2 * len(said), len(ENCODER))
        for place, token in enumerate(ENCODER.encode(said)):
            logits[2 * place, token] = 6.0 + rng.random()
            logits[2 * place + 1, 0] = 8.0
        rows.append(logits)
        texts.append(text)
    tokens = [torch.tensor(ENCODER.encode(text)) for text in texts]
    pad = torch.nn.utils.rnn.pad_sequence
    return {
        "id": [str(n) for n in range(count)],
        "text": texts,
        "tokens": pad(tokens, batch_first=True),
        "tokens_len": torch.tensor([len(own) for own in tokens]),
        "wav": pad(rows, batch_first=True),
        "wav_len": torch.tensor([len(own) for own in rows]),
    }


def measured(task: CTCTask) -> dict[str, float]:
    return task.reduction("test", task("test", **batch(2)).records)


def test_a_validation_calibrates_what_tests_and_predictions_give():
    task = CTCTask(Frames(), ENCODER).eval()
    assert measured(task)["word_ece"] > 0.15 and "word_ece_uncalibrated" not in measured(task)
    task.reduction("valid", task("valid", **batch(1)).records)
    metrics = measured(task)
    assert metrics["word_ece"] < 0.1 < 0.15 < metrics["word_ece_uncalibrated"]
    words = task.predict(batch(2)["wav"], batch(2)["wav_len"])[0].words
    assert all(0.2 < word.confidence < 0.8 for word in words) and words[0].start == 0
    other = CTCTask(Frames(), ENCODER).eval()
    other.set_state(json.loads(json.dumps(task.get_state())))
    assert measured(other) == metrics


def test_the_confidence_of_a_search_is_not_calibrated_by_that_of_the_best_path():
    task = CTCTask(Frames(), ENCODER, decode={"name": "beam", "beam": 4}).eval()
    task.reduction("valid", task("valid", **batch(1)).records)
    metrics = measured(task)
    assert "word_ece_uncalibrated" not in metrics
    rows = [json.loads(words) for words in task("test", **batch(2)).records["words"]]
    assert all(word["confidence"] == pytest.approx(word["raw_confidence"]) for words in rows for word in words)
