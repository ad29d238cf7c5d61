"""The confidence of words: learnt on validation for the best path and for a search, and kept in the task's state."""

from __future__ import annotations

import json
import math
import random

import pytest
import torch

from dataset.encoders import build_encoder
from nn.decode.greedy import ctc_best_path
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


def test_a_validation_as_in_tests_calibrates_the_words_of_a_search():
    task = CTCTask(Frames(), ENCODER, decode={"name": "beam", "beam": 4}).eval()
    task.reduction("valid", task("valid", **batch(1)).records)  # of a training: by the best path
    before = measured(task)
    assert "word_ece_uncalibrated" not in before and task.needs_validation
    task.validate_as_tested()
    task.reduction("valid", task("valid", **batch(1)).records)
    after = measured(task)
    assert after["word_ece"] < 0.1 < 0.15 < after["word_ece_uncalibrated"] == before["word_ece"]
    assert not task.needs_validation and task.learns_in_validation
    other = CTCTask(Frames(), ENCODER, decode={"name": "beam", "beam": 4}).eval()
    other.set_state(json.loads(json.dumps(task.get_state())))
    assert measured(other) == after
    partial = other.path_result(ctc_best_path(batch(2)["wav"], batch(2)["wav_len"])[0])
    assert [own.confidence for own in partial.words] == [
        other.confidence.of(own.confidence, is_search=False) for own in words_of(other.greedy)
    ], "what a stream shows meanwhile is of the best path, and calibrated as such"


def words_of(decoder) -> list:
    return decoder(batch(2)["wav"], batch(2)["wav_len"])[0].words


def test_a_search_is_less_sure_of_a_word_for_which_it_kept_another():
    sure, torn = torch.zeros(4, len(ENCODER)), torch.zeros(4, len(ENCODER))
    a, b, space = (ENCODER.encode(symbol)[0] if symbol != " " else ENCODER.encode("a b")[1] for symbol in "ab ")
    for place, token in enumerate((a, space, a)):
        sure[place, token] = torn[place, token] = 12.0
    sure[3, 0] = torn[3, 0] = 12.0
    torn[2, b] = 11.5
    decoder = CTCTask(Frames(), ENCODER, decode={"name": "beam", "beam": 8}).decoder
    decoded = decoder(torch.stack([sure, torn]), torch.tensor([4, 4]))
    (first, last), (same, other) = ([word.confidence for word in own.words] for own in decoded)
    assert first > 0.99 and last > 0.99 and same == pytest.approx(first, abs=1e-3)
    share = 1 / (1 + math.exp(-0.5))
    assert other == pytest.approx(share * share, abs=1e-3), "that of the frame, and that of the texts"
