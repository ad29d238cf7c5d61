"""Event encoder: the labels of the events of recordings, each to its number and back."""

from __future__ import annotations

import math
from collections.abc import Iterable

from dataset.diarization.turns import Turn, from_json
from dataset.encoders.base import EncoderError
from dataset.encoders.category import CategoryEncoder, count_labels, single_spaced


class EventEncoder(CategoryEncoder):
    """The labels of events, written ``[[start, end, label], ...]``; numbers follow the order of code points."""

    name = "events"

    @classmethod
    def build(cls, texts: Iterable[str]) -> EventEncoder:
        """Learn every label of the training set.

        Args:
            texts: the events of the training recordings, as JSON; a recording may have none.
        """
        labels = []
        for place, text in enumerate(texts):
            try:
                labels += _labels_of(text)
            except ValueError as error:
                raise EncoderError(str(error), place) from None
        if not labels:
            raise EncoderError("no training recording has an event; a detector needs at least one")
        counts = count_labels(labels)
        return cls(list(counts), list(counts.values()))

    def unknown(self, text: str) -> set[str]:
        return set(_labels_of(text)) - set(self.labels)


def events_of(text: str) -> list[Turn]:
    """The events of a recording, from JSON, with labels as the encoder has them.

    Raises:
        ValueError: it is not a JSON list of start, end and label, or an event ends before it begins.
    """
    events = from_json(text, "events")
    for start, end, label in events:
        if not 0 <= start <= end < math.inf:
            raise ValueError(f"events: {label!r} is from {start:g} s to {end:g} s; expected two rising times from 0")
    return [Turn(start, end, single_spaced(label)) for start, end, label in events]


def _labels_of(text: str) -> list[str]:
    return [label for _, _, label in events_of(text)]
