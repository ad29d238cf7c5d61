"""Slot encoder: a label of several parts (action, object, location), each to its number and back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from dataset import SEPARATOR
from dataset.encoders.base import VERSION, EncoderError, LabelEncoder
from dataset.encoders.category import CategoryEncoder, check_labels_record, count_labels, labels_record, split_label


class SlotEncoder(LabelEncoder):
    """A label of K slots, written ``a ; b ; c``, to the numbers of its parts and back.

    Attributes:
        slots: the K names of the slots, in the order of the parts.
        encoders: the K encoders.
        sizes: number of values of each; a classifier over all of them has ``len(self)`` outputs, slot after slot.
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
    def build(cls, texts: Iterable[str], slots: list[str] | None = None) -> SlotEncoder:
        """Learn the values of every slot in the training set.

        Args:
            texts: training labels, all with the same number of parts.
            slots: a name for each part, for its metrics; null: slot1, slot2, ...
        """
        rows = [split_label(text) for text in texts]
        if not rows:
            raise EncoderError("an encoder cannot be built: there are no labels; check the training set")
        names = [f"slot{number + 1}" for number in range(len(rows[0]))] if slots is None else list(slots)
        for place, parts in enumerate(rows):
            _check_number_of_parts(parts, names, place)
        counts = [count_labels(values) for values in zip(*rows)]
        encoders = [CategoryEncoder(list(values), list(values.values())) for values in counts]
        if all(len(encoder) == 1 for encoder in encoders):
            label = SEPARATOR.join(rows[0])
            raise EncoderError(f"every training utterance has the label {label!r}; a classifier needs two")
        return cls(names, encoders)

    def encode(self, text: str) -> list[int]:
        """Return the K numbers of a label.

        Raises:
            EncoderError: a value does not occur in the training set; the message names its slot.
        """
        parts = split_label(text)
        _check_number_of_parts(parts, self.slots)
        numbers = []
        for slot, encoder, part in zip(self.slots, self.encoders, parts):
            try:
                numbers.append(encoder.encode(part))
            except EncoderError as error:
                raise EncoderError(f"slot {slot}: {error}") from None
        return numbers

    def decode(self, numbers: Iterable[int]) -> str:
        """Return the label of K numbers."""
        numbers = list(numbers)
        if len(numbers) != len(self.slots):
            raise EncoderError(f"expected {len(self.slots)} numbers, for {', '.join(self.slots)}; got {numbers}")
        return SEPARATOR.join(encoder.decode(number) for encoder, number in zip(self.encoders, numbers))

    def unknown(self, text: str) -> set[str]:
        """Return the unknown values as ``slot=value``."""
        parts = split_label(text)
        _check_number_of_parts(parts, self.slots)
        triples = zip(self.slots, self.encoders, parts)
        return {f"{slot}={value}" for slot, encoder, part in triples for value in encoder.unknown(part)}

    def balanced_weights(self) -> list[dict[str, float]]:
        """Return :meth:`CategoryEncoder.balanced_weights` of each slot."""
        return [encoder.balanced_weights() for encoder in self.encoders]

    def __len__(self) -> int:
        return sum(self.sizes)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{s}: {n}' for s, n in zip(self.slots, self.sizes))})"

    def _record(self) -> dict[str, Any]:
        slots = [{"slot": slot, **labels_record(encoder)} for slot, encoder in zip(self.slots, self.encoders)]
        return {"name": self.name, "version": VERSION, "slots": slots}

    @classmethod
    def _check_record(cls, record: dict[str, Any], path: Path) -> None:
        slots = record.get("slots")
        named = isinstance(slots, list) and all(isinstance(s, dict) and isinstance(s.get("slot"), str) for s in slots)
        if not named:
            raise EncoderError(f"{path} must list 'slots' with names and labels; build the encoder again (stage 1)")
        for slot in slots:
            check_labels_record(slot, path)

    @classmethod
    def _from_record(cls, record: dict[str, Any], folder: Path) -> SlotEncoder:
        slots = record["slots"]
        encoders = [CategoryEncoder(slot["labels"], slot["counts"]) for slot in slots]
        return cls([slot["slot"] for slot in slots], encoders)


def _check_number_of_parts(parts: list[str], slots: Sequence[str], place: int | None = None) -> None:
    if len(parts) != len(slots):
        raise EncoderError(
            f"the label {SEPARATOR.join(parts)!r} has {len(parts)} parts between {SEPARATOR.strip()!r}; "
            f"expected {len(slots)}: {', '.join(slots)}",
            place,
        )
