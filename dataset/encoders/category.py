"""Encoders of utterances' labels: one category each, one in each of several slots, or any number."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from dataset.encoders.base import VERSION, EncoderError, LabelEncoder

SEPARATOR = ";"  # between the slots of a label, as in "activate ; lights ; kitchen"


class CategoryEncoder(LabelEncoder):
    """A label to its number and back; numbers follow the order of code points.

    A label is text: white space at its ends goes, any inside becomes one space.
    """

    name = "category"

    def __init__(self, labels: Sequence[str], counts: Sequence[int] | None = None) -> None:
        """
        Args:
            labels: all labels in order of number.
            counts: how many training utterances have each; None: one each.
        """
        if not labels or len(set(labels)) < len(labels) or "" in labels:
            raise EncoderError(f"labels must be some, none empty, and all differ; got {list(labels[:5])}")
        self.labels = tuple(labels)
        self.counts = (1,) * len(self.labels) if counts is None else tuple(counts)
        if len(self.counts) != len(self.labels) or min(self.counts) < 1:
            raise EncoderError(f"counts must be a number from 1 for each of {len(self.labels)} labels, got {counts}")
        self._numbers = {label: number for number, label in enumerate(self.labels)}

    @classmethod
    def build(cls, texts: Iterable[str]) -> CategoryEncoder:
        """Every label of the training set.

        Args:
            texts: training labels, at least two different ones.
        """
        found = _counted(texts)
        if len(found) < 2:
            raise EncoderError(f"every training utterance has the label {[*found][0]!r}: a classifier needs two")
        return cls(list(found), list(found.values()))

    def encode(self, text: str) -> int:
        """The number of a label; an EncoderError for one that training never shows."""
        label = _plain(text)
        if label not in self._numbers:
            near = difflib.get_close_matches(label, self.labels, n=1)
            hint = f" (nearest: {near[0]!r})" if near else ""
            raise EncoderError(f"training never shows the label {label!r}{hint}; it has {_some(self.labels)}")
        return self._numbers[label]

    def decode(self, number: int) -> str:
        """The label of a number."""
        if not 0 <= number < len(self.labels):
            raise EncoderError(f"there is no label {number}: this encoder has 0 to {len(self.labels) - 1}")
        return self.labels[number]

    def unknown(self, text: str) -> set[str]:
        return {_plain(text)} - self._numbers.keys()

    def balanced_weights(self) -> dict[str, float]:
        """The weight of each label that makes all of them count alike in training; an utterance's mean weight is 1."""
        total = sum(self.counts)
        return {label: total / (len(self.labels) * count) for label, count in zip(self.labels, self.counts)}

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({_some(self.labels)})"

    def _record(self) -> dict[str, Any]:
        return {"name": self.name, "version": VERSION, **_fields(self)}

    @classmethod
    def _check_record(cls, record: dict[str, Any], path: Path) -> None:
        _check_fields(record, path)

    @classmethod
    def _from_record(cls, record: dict[str, Any], folder: Path) -> CategoryEncoder:
        return cls(record["labels"], record["counts"])


class TagEncoder(CategoryEncoder):
    """Any number of labels of an utterance, written ``a ; b`` or nothing, to a 0 or 1 for each label."""

    name = "tags"

    @classmethod
    def build(cls, texts: Iterable[str]) -> TagEncoder:
        """Every label of the training set.

        Args:
            texts: training labels; an empty one is an utterance without any.
        """
        found = _counted(tag for text in list(texts) for tag in split_label(text) if tag)
        return cls(list(found), list(found.values()))

    def encode(self, text: str) -> list[int]:
        """1 where the utterance has the label, in order of number; an EncoderError for one that is not known."""
        there = {super(TagEncoder, self).encode(tag) for tag in split_label(text) if tag}
        return [int(number in there) for number in range(len(self.labels))]

    def unknown(self, text: str) -> set[str]:
        return {tag for tag in split_label(text) if tag} - self._numbers.keys()


class CategoryEncoders(LabelEncoder):
    """A label of K slots, written ``a ; b ; c``, to the numbers of its parts and back.

    Attributes:
        slots: the K names of the slots, in the order of the parts.
        encoders: the K encoders.
        sizes: how many values each has; a classifier over all of them has ``len(self)`` outputs, slot after slot.
    """

    name = "categories"

    def __init__(self, slots: Sequence[str], encoders: Sequence[CategoryEncoder]) -> None:
        """
        Args:
            slots: a name for each part.
            encoders: an encoder for each part.
        """
        if len(slots) != len(encoders) or len(set(slots)) < len(slots) or not slots:
            raise EncoderError(f"each slot needs a name and an encoder of its own; got {list(slots)}, {encoders}")
        self.slots, self.encoders = tuple(slots), tuple(encoders)
        self.sizes = tuple(len(encoder) for encoder in self.encoders)

    @classmethod
    def build(cls, texts: Iterable[str], slots: list[str] | None = None) -> CategoryEncoders:
        """The values of every slot that the training set shows.

        Args:
            texts: training labels, all with equally many parts.
            slots: a name for each part, for its metrics; null: slot1, slot2, ...
        """
        rows = [split_label(text) for text in texts]
        if not rows:
            raise EncoderError("an encoder cannot be built: there are no labels")
        names = [f"slot{number + 1}" for number in range(len(rows[0]))] if slots is None else list(slots)
        for place, parts in enumerate(rows):
            _check_count(parts, names, place)
        counts = [_counted(values) for values in zip(*rows)]
        encoders = [CategoryEncoder(list(found), list(found.values())) for found in counts]
        if all(len(encoder) == 1 for encoder in encoders):
            raise EncoderError(f"every training utterance has the label {_join(rows[0])!r}: a classifier needs two")
        return cls(names, encoders)

    def encode(self, text: str) -> list[int]:
        """The K numbers of a label; an EncoderError names the slot whose value training never shows."""
        parts = split_label(text)
        _check_count(parts, self.slots)
        numbers = []
        for slot, encoder, part in zip(self.slots, self.encoders, parts):
            try:
                numbers.append(encoder.encode(part))
            except EncoderError as error:
                raise EncoderError(f"slot {slot}: {error}") from None
        return numbers

    def decode(self, numbers: Iterable[int]) -> str:
        """The label of K numbers."""
        given = list(numbers)
        if len(given) != len(self.slots):
            raise EncoderError(f"expected {len(self.slots)} numbers, for {', '.join(self.slots)}; got {given}")
        return _join([encoder.decode(number) for encoder, number in zip(self.encoders, given)])

    def unknown(self, text: str) -> set[str]:
        parts = split_label(text)
        _check_count(parts, self.slots)
        pairs = zip(self.slots, self.encoders, parts)
        return {f"{slot}={value}" for slot, encoder, part in pairs for value in encoder.unknown(part)}

    def balanced_weights(self) -> list[dict[str, float]]:
        """Of each slot, what :meth:`CategoryEncoder.balanced_weights` gives."""
        return [encoder.balanced_weights() for encoder in self.encoders]

    def __len__(self) -> int:
        return sum(self.sizes)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{s}: {n}' for s, n in zip(self.slots, self.sizes))})"

    def _record(self) -> dict[str, Any]:
        slots = [{"slot": slot, **_fields(encoder)} for slot, encoder in zip(self.slots, self.encoders)]
        return {"name": self.name, "version": VERSION, "slots": slots}

    @classmethod
    def _check_record(cls, record: dict[str, Any], path: Path) -> None:
        slots = record.get("slots")
        named = isinstance(slots, list) and all(isinstance(s, dict) and isinstance(s.get("slot"), str) for s in slots)
        if not named:
            raise EncoderError(f"{path} must have a list 'slots' of names and labels; build it again (stage 1)")
        for slot in slots:
            _check_fields(slot, path)

    @classmethod
    def _from_record(cls, record: dict[str, Any], folder: Path) -> CategoryEncoders:
        slots = record["slots"]
        return cls(
            [slot["slot"] for slot in slots], [CategoryEncoder(slot["labels"], slot["counts"]) for slot in slots]
        )


def split_label(text: str) -> list[str]:
    """The parts of ``a ; b ; c``."""
    return [_plain(part) for part in text.split(SEPARATOR)]


def _join(parts: Iterable[str]) -> str:
    return f" {SEPARATOR} ".join(parts)


def _plain(text: str) -> str:
    return " ".join(text.split())


def _counted(texts: Iterable[str]) -> dict[str, int]:
    """How often each label occurs, in order of labels."""
    if isinstance(texts, str):
        raise EncoderError(f"an encoder is built from many labels, got the one text {texts[:40]!r}")
    found = [_plain(text) for text in texts]
    if not found:
        raise EncoderError("an encoder cannot be built: there are no labels; look at the training set")
    if "" in found:
        raise EncoderError("a label is empty; give it, or leave the utterance out", found.index(""))
    return dict(sorted(Counter(found).items()))


def _check_count(parts: list[str], slots: Sequence[str], place: int | None = None) -> None:
    if len(parts) != len(slots):
        raise EncoderError(
            f"the label {_join(parts)!r} has {len(parts)} parts between {SEPARATOR!r}; expected {len(slots)}: "
            f"{', '.join(slots)}",
            place,
        )


def _fields(encoder: CategoryEncoder) -> dict[str, Any]:
    return {"labels": list(encoder.labels), "counts": list(encoder.counts)}


def _check_fields(record: dict[str, Any], path: Path) -> None:
    for key, kind in (("labels", str), ("counts", int)):
        if not isinstance(record.get(key), list) or not all(isinstance(value, kind) for value in record[key]):
            raise EncoderError(f"{path} must have a list called {key!r}; build it again (stage 1)")


def _some(labels: Sequence[str]) -> str:
    return ", ".join(labels[:10]) + (f", ... ({len(labels)} labels)" if len(labels) > 10 else "")
