"""Tag encoder: any number of labels an utterance, to a 0 or 1 for each label."""

from __future__ import annotations

from collections.abc import Iterable

from dataset.encoders.category import CategoryEncoder, count_labels, split_label


class TagEncoder(CategoryEncoder):
    """Any number of labels, written ``a ; b`` or nothing, to a 0 or 1 for each label."""

    name = "tags"

    @classmethod
    def build(cls, texts: Iterable[str]) -> TagEncoder:
        """Learn every label of the training set.

        Args:
            texts: training labels; an empty text is an utterance without labels.
        """
        counts = count_labels(tag for text in list(texts) for tag in split_label(text) if tag)
        return cls(list(counts), list(counts.values()))

    def encode(self, text: str) -> list[int]:
        """Return a 1 for each label that the utterance has, in order of number; an EncoderError for an unknown one."""
        numbers = {super(TagEncoder, self).encode(tag) for tag in split_label(text) if tag}
        return [int(number in numbers) for number in range(len(self.labels))]

    def unknown(self, text: str) -> set[str]:
        return {tag for tag in split_label(text) if tag} - self._numbers.keys()
