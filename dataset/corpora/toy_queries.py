"""Toy corpus for query by example: single words as queries, sentences in other voices as documents."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from dataset.corpora.common.base import Row, Splits
from dataset.corpora.common.toy import Cast, Planned, ToyUtterances
from dataset.corpora.csv_queries import rows_of
from dataset.espeak import grammar, voices
from dataset.setting import setting

LEAST_LETTERS = 6


@dataclasses.dataclass
class ToyQueries(ToyUtterances):
    """Words of six letters or more as queries, and household sentences as documents; each in voices of its own."""

    num_train: int = setting(1, "not used", min=1)
    num_valid: int = setting(150, "validation documents", min=10)
    num_test: int = setting(150, "test documents", min=10)
    num_queries: int = setting(30, "queries of the validation and of the test", min=2)

    def load(self, cache_dir: Path) -> Splits:
        """Rows of every split; the training set is the validation set, and is not read."""
        spoken = super().load(cache_dir)
        valid, test = _rows(spoken.valid), _rows(spoken.test["test"])
        return Splits(train=valid, valid=valid, test={"test": test})

    def _split(self, split: str, size: int) -> list[Planned]:
        names = voices.BY_SPLIT[split]
        half = len(names) // 2
        cast = Cast(split, names[:half], seed=f"queries/{self.seed}", rates=(130, 170), pitches=(40, 60))
        if split == "train":
            return cast.planned
        sentences = grammar.sentences(grammar.TEMPLATES, cast.rng)
        texts = [next(sentences).text for _ in range(size)]
        for text in texts:
            cast.say(text, None, {"kind": "document"})
        words = sorted({word for text in texts for word in text.split() if len(word) >= LEAST_LETTERS})
        speakers = grammar.Deck(tuple(names[half:]), cast.rng)
        for word in cast.rng.sample(words, min(self.num_queries, len(words))):
            cast.say(word, str(speakers.deal()), {"kind": "query"})
        return cast.planned


def _rows(spoken: list[Row]) -> list[Row]:
    by_kind = {kind: [row for row in spoken if row["kind"] == kind] for kind in ("query", "document")}
    paths = {kind: {row["id"]: row["wav_path"] for row in rows} for kind, rows in by_kind.items()}
    matches = {
        query["id"]: [
            row["id"] for row in by_kind["document"] if query["transcription"] in row["transcription"].split()
        ]
        for query in by_kind["query"]
    }
    return rows_of(paths["query"], paths["document"], matches)
