"""Toy corpus for slot filling: household sentences with their slots, in synthetic voices."""

from __future__ import annotations

import dataclasses
import json

from dataset.corpora.common.base import CorpusError
from dataset.corpora.common.toy import Cast, Planned, ToyUtterances
from dataset.espeak import grammar, voices
from dataset.setting import setting


@dataclasses.dataclass
class ToySlots(ToyUtterances):
    """Household sentences with ``slots`` (JSON: ``[[name, value], ...]``) and ``intent``; other voices in each split.

    No sentence is in two splits; the words around the slots are the same in all.
    """

    num_train: int = setting(1200, "training sentences (about 2 seconds each)", min=1)
    num_valid: int = setting(120, "validation sentences, in voices held out of training", min=1)
    num_test: int = setting(300, "test sentences, in voices held out of training and validation", min=1)

    def plan(self) -> dict[str, list[Planned]]:
        """The sentences of test, valid and train."""
        self._taken: set[str] = set()
        return super().plan()

    def _split(self, split: str, size: int) -> list[Planned]:
        cast = Cast(split, voices.BY_SPLIT[split], seed=f"slots/{self.seed}", rates=(130, 180), pitches=(30, 70))
        sentences, repeats = grammar.sentences(grammar.TEMPLATES, cast.rng), 0
        while len(cast.planned) < size:
            sentence = next(sentences)
            if sentence.text in self._taken:
                repeats += 1
                if repeats > 20 * size + 1000:
                    raise CorpusError(
                        f"the grammar of the toy corpus has too few sentences: it gave {len(cast.planned)} for {split};"
                        f" set num_{split} to less"
                    )
                continue
            self._taken.add(sentence.text)
            columns = {"intent": sentence.intent, "slots": json.dumps([list(slot) for slot in sentence.slots])}
            cast.say(sentence.text, None, columns)
        return cast.planned
