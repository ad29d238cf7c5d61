"""The toy corpus of speakers has all voices and other sentences in each split."""

from __future__ import annotations

from dataset.corpora.toy_speakers import ToySpeakers
from dataset.espeak import voices


def test_no_sentence_is_in_two_splits_and_every_voice_is_tested():
    plan = ToySpeakers().plan()
    texts = {split: {p.sentence.text for p in lines} for split, lines in plan.items()}
    assert not texts["train"] & texts["valid"] and not texts["test"] & (texts["train"] | texts["valid"])
    assert {p.columns["label"] for p in plan["test"]} == set(voices.TRAIN)
