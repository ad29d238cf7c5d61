"""Slot filling by CTC: a transcript with marks around the values of its slots, and the scores of these."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from nn.decode.greedy import PathToken
from tasks.base import Records
from tasks.ctc import CTCTask
from tasks.metrics.kinds import Count, Number, Rate
from tasks.metrics.slots import SlotScores, score
from tasks.metrics.text import ErrorCounts, corpus_rate, word_errors
from tasks.results import Slots

SUMS = ("value_char_errors", "value_chars", "value_word_errors", "value_words")


class SlotTask(CTCTask):
    """Trains a model with CTC on marked transcripts; decodes by the best path.

    Args:
        meaning: from a marked text to its text, its slots (name, value) and its intent, or None.
        others: of :class:`tasks.ctc.CTCTask`.
    """

    metrics = {
        "slot_type_f1": Rate(better="higher", label="slot type F1", of=("type_f1", None)),
        "slot_value_cer": Rate(better="lower", label="slot value CER", of=("value_char_errors", "value_chars")),
        "slot_value_wer": Rate(better="lower", label="slot value WER", of=("value_word_errors", "value_words")),
        "slot_f1": Rate(better="higher", label="slot F1", of=("twice_exact", "exact_and_errors")),
        "slurp_f1": Rate(better="higher", label="SLURP F1", of=("twice_slurp", "slurp_and_errors")),
        "intent_accuracy": Rate(better="higher", of=("intent_right", "with_intent")),
        "wer": Rate(better="lower", label="WER", of=("word_errors", "words")),
        "loss": Number(better="lower", of=("loss", None)),
        "utterances": Count(),
        "too_short": Count(),
    }

    rates_words = False  # marks stand among the words

    def __init__(
        self, *args: Any, meaning: Callable[[str], tuple[str, list[tuple[str, str]], str | None]], **conf: Any
    ):
        super().__init__(*args, **conf)
        self.meaning = meaning

    def _errors(self, records: dict[str, list[Any]]) -> dict[str, list[Any]]:
        """The counts of slots, words and intents of each utterance."""
        columns: dict[str, list[Any]] = {}
        for reference, hypothesis in zip(records["reference"], records["hypothesis"]):
            text, slots, intent = self.meaning(reference)
            hypothesis_text, hypothesis_slots, hypothesis_intent = self.meaning(hypothesis)
            words = word_errors(text, hypothesis_text)
            row = _columns(score(slots, hypothesis_slots)) | {
                "word_errors": words.errors,
                "words": words.reference_length,
                "intent_right": int(intent is not None and intent == hypothesis_intent),
                "with_intent": int(intent is not None),
            }
            for name, value in row.items():
                columns.setdefault(name, []).append(value)
        return columns

    def measure(self, mode: str, records: Records) -> dict[str, float]:
        """SUPERB's, exact and SLURP's scores of slots, the accuracy of intents, and WER without marks."""
        self._log_examples(records)
        number = len(records["id"])
        metrics = {}
        for name, metric in self.metrics.items():
            if metric.of is None:
                continue
            top, bottom = metric.of
            total = number if bottom is None else math.fsum(records[bottom])
            if total:
                metrics[name] = math.fsum(records[top]) / total
            elif name != "intent_accuracy":
                metrics[name] = 1.0 if metric.better == "higher" else 0.0  # no slot is expected, and none is recognised
        if math.fsum(records["words"]) == 0:
            corpus_rate([ErrorCounts()], "word")  # raises
        return metrics | {"utterances": number, "too_short": sum(records["too_short"])}

    def results(self, logits: Tensor, lengths: Tensor) -> list[Slots]:
        """The text of each utterance, with its slots and its intent, from the logits (B, T', V)."""
        return [self._slots(own.text) for own in super().results(logits, lengths)]

    def path_result(self, path: Sequence[PathToken]) -> Slots:
        """The text of a best path, with its slots and its intent."""
        return self._slots(super().path_result(path).text)

    def _slots(self, text: str) -> Slots:
        return Slots(*self.meaning(text), marked=text)


def _columns(scores: SlotScores) -> dict[str, float]:
    columns = {name: getattr(scores, name) for name in ("type_f1", *SUMS)}
    for name, (right, wrong, missing) in (("exact", scores.exact), ("slurp", scores.slurp)):
        columns |= {f"twice_{name}": 2 * right, f"{name}_and_errors": 2 * right + wrong + missing}
    return columns
