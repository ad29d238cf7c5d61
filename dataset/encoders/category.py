"""Category encoder: one label an utterance, to its number and back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from dataset import SEPARATOR
from dataset.encoders.base import VERSION, EncoderError, LabelEncoder
from dataset.wording import nearest


class CategoryEncoder(LabelEncoder):
    """A label to its number and back; numbers follow the order of code points.

    White space at the ends of a label is removed, any inside becomes one space.
    """

    name = "category"

    def __init__(self, labels: Sequence[str], counts: Sequence[int] | None = None) -> None:
        """
        Args:
            labels: all labels in order of number.
            counts: number of training utterances of each; None: one each.
        """
        if not labels or len(set(labels)) < len(labels) or "" in labels:
            raise EncoderError(f"labels must be at least one, all different and none empty; got {list(labels[:5])}")
        self.labels = tuple(labels)
        self.counts = (1,) * len(self.labels) if counts is None else tuple(counts)
        if len(self.counts) != len(self.labels) or min(self.counts) < 1:
            raise EncoderError(f"counts must be a number from 1 for each of {len(self.labels)} labels; got {counts}")
        self._numbers = {label: number for number, label in enumerate(self.labels)}

    @classmethod
    def build(cls, texts: Iterable[str]) -> CategoryEncoder:
        """Learn every label of the training set.

        Args:
            texts: training labels, at least two different ones.
        """
        counts = count_labels(texts)
        if len(counts) < 2:
            raise EncoderError(f"every training utterance has the label {[*counts][0]!r}; a classifier needs two")
        return cls(list(counts), list(counts.values()))

    def encode(self, text: str) -> int:
        """Return the number of a label.

        Raises:
            EncoderError: the label does not occur in the training set.
        """
        label = single_spaced(text)
        if label not in self._numbers:
            raise EncoderError(
                f"the label {label!r} does not occur in the training set{nearest(label, self.labels)}; "
                f"its labels are {_first(self.labels)}"
            )
        return self._numbers[label]

    def decode(self, number: int) -> str:
        """Return the label of a number."""
        if not 0 <= number < len(self.labels):
            raise EncoderError(f"label {number} does not exist; this encoder has 0 to {len(self.labels) - 1}")
        return self.labels[number]

    def unknown(self, text: str) -> set[str]:
        return {single_spaced(text)} - self._numbers.keys()

    def balanced_weights(self) -> dict[str, float]:
        """Return loss weights that give every label the same total; the mean over training utterances is 1."""
        total = sum(self.counts)
        return {label: total / (len(self.labels) * count) for label, count in zip(self.labels, self.counts)}

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({_first(self.labels)})"

    def _record(self) -> dict[str, Any]:
        return {"name": self.name, "version": VERSION, **labels_record(self)}

    @classmethod
    def _check_record(cls, record: dict[str, Any], path: Path) -> None:
        check_labels_record(record, path)

    @classmethod
    def _from_record(cls, record: dict[str, Any], folder: Path) -> CategoryEncoder:
        return cls(record["labels"], record["counts"])


def single_spaced(text: str) -> str:
    """Return ``text`` with single spaces, and none at its ends."""
    return " ".join(text.split())


def split_label(text: str) -> list[str]:
    """Return the parts of ``a ; b ; c``; the spaces around a semicolon are optional."""
    return [single_spaced(part) for part in text.split(SEPARATOR.strip())]


def count_labels(texts: Iterable[str]) -> dict[str, int]:
    """Return how often each label occurs, sorted by label; an EncoderError if one is empty, or there are none."""
    if isinstance(texts, str):
        raise EncoderError(f"an encoder is built from a list of labels; got one text, {texts[:40]!r}")
    labels = [single_spaced(text) for text in texts]
    if not labels:
        raise EncoderError("an encoder cannot be built: there are no labels; check the training set")
    if "" in labels:
        raise EncoderError("a label is empty; fill it in, or leave the utterance out", labels.index(""))
    return dict(sorted(Counter(labels).items()))


def labels_record(encoder: CategoryEncoder) -> dict[str, Any]:
    """Return the labels and their counts as they are saved."""
    return {"labels": list(encoder.labels), "counts": list(encoder.counts)}


def check_labels_record(record: dict[str, Any], path: Path) -> None:
    """Raise an EncoderError if a record does not have what :func:`labels_record` writes."""
    for key, kind in (("labels", str), ("counts", int)):
        if not isinstance(record.get(key), list) or not all(isinstance(value, kind) for value in record[key]):
            raise EncoderError(f"{path} must have a list {key!r}; build the encoder again (stage 1)")


def _first(labels: Sequence[str]) -> str:
    return ", ".join(labels[:10]) + (f", ... ({len(labels)} labels)" if len(labels) > 10 else "")
