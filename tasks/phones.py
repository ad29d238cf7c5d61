"""Phoneme recognition by CTC: the phone error rate, and the times of the phones."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from nn.decode.greedy import PathToken, ctc_best_path
from tasks.base import Mode, Records
from tasks.ctc import BLANK, CTCTask
from tasks.metrics.kinds import Count, Number, Rate
from tasks.metrics.text import corpus_rate, error_counts
from tasks.results import Phones, Segment

TIMIT_39 = {
    **{"ao": "aa", "ax": "ah", "ax-h": "ah", "axr": "er", "hv": "hh", "ix": "ih", "el": "l", "em": "m", "en": "n"},
    **{"nx": "n", "eng": "ng", "zh": "sh", "ux": "uw", "pcl": "sil", "tcl": "sil", "kcl": "sil", "bcl": "sil"},
    **{"dcl": "sil", "gcl": "sil", "h#": "sil", "pau": "sil", "epi": "sil", "q": ""},
}
"""TIMIT's 61 phones as 39 (Lee and Hon, "Speaker-independent phone recognition using hidden Markov models", 1989)."""
FOLDINGS: dict[str, Mapping[str, str]] = {"none": {}, "timit39": TIMIT_39}


class PhoneTask(CTCTask):
    """Trains a model with CTC on phones that are separated by spaces; decodes by the best path.

    Args:
        folding: how phones are merged before they are compared: none, or timit39.
        others: of :class:`tasks.ctc.CTCTask`.
    """

    metrics = {
        "per": Rate(better="lower", label="PER", of=("phone_errors", "phones")),
        "loss": Number(better="lower", of=("loss", None)),
        "substitutions": Count(better="lower"),
        "deletions": Count(better="lower"),
        "insertions": Count(better="lower"),
        "phones": Count(),
        "utterances": Count(),
        "too_short": Count(),
    }

    rates_words = False

    def __init__(self, *args: Any, folding: str = "none", **conf: Any):
        super().__init__(*args, **conf)
        if folding not in FOLDINGS:
            raise ValueError(f"folding is {folding!r}: expected one of {', '.join(FOLDINGS)}")
        self.folding = FOLDINGS[folding]

    def _decoded(self, mode: str, logits: Tensor, lengths: Tensor) -> dict[str, list[Any]]:
        """``hypothesis``, and in a test ``times``: [start, end, phone] in seconds, as JSON."""
        paths = ctc_best_path(logits, lengths, blank=BLANK)
        records: dict[str, list[Any]] = {"hypothesis": [self._text(path) for path in paths]}
        if mode == Mode.TEST and self.frame_sec is not None:
            segments = (self._segments(path, self.frame_sec) for path in paths)
            rows = ([[own.start, own.end, own.text] for own in phones] for phones in segments)
            records["times"] = [json.dumps(own, ensure_ascii=False) for own in rows]
        return records

    def infer(self, wav: Tensor, wav_len: Tensor) -> list[Phones]:
        """The phones of each utterance."""
        paths = ctc_best_path(*self._logits({"wav": wav, "wav_len": wav_len}), blank=BLANK)
        frame_sec = self.frame_sec
        return [Phones(self._text(own), [] if frame_sec is None else self._segments(own, frame_sec)) for own in paths]

    def _text(self, path: Sequence[PathToken]) -> str:
        return self.encoder.decode([token.token for token in path])

    def _segments(self, path: Sequence[PathToken], frame_sec: float) -> list[Segment]:
        return [
            Segment(
                round(token.first * frame_sec, 3),
                round((token.last + 1) * frame_sec, 3),
                self.encoder.decode([token.token]),
                round(token.probability, 4),
            )
            for token in path
        ]

    def _errors(self, records: dict[str, list[Any]]) -> dict[str, list[int]]:
        """The counts of phone errors of each utterance."""
        counts = [
            error_counts(self._folded(reference), self._folded(hypothesis))
            for reference, hypothesis in zip(records["reference"], records["hypothesis"])
        ]
        return {
            "phone_errors": [count.errors for count in counts],
            "substitutions": [count.substitutions for count in counts],
            "deletions": [count.deletions for count in counts],
            "insertions": [count.insertions for count in counts],
            "phones": [count.reference_length for count in counts],
        }

    def _folded(self, text: str) -> list[str]:
        return [folded for phone in text.split() if (folded := self.folding.get(phone, phone))]

    def measure(self, mode: str, records: Records) -> dict[str, float]:
        """PER over all phones, the mean loss of an utterance, and counts."""
        pairs = zip(records["reference"], records["hypothesis"])
        rate, total = corpus_rate((error_counts(self._folded(r), self._folded(h)) for r, h in pairs), "phone")
        self._log_examples(records)
        utterances = len(records["id"])
        return {
            "per": rate,
            "loss": math.fsum(records["loss"]) / utterances,
            "substitutions": total.substitutions,
            "deletions": total.deletions,
            "insertions": total.insertions,
            "phones": total.reference_length,
            "utterances": utterances,
            "too_short": sum(records["too_short"]),
        }
