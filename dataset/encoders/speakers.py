"""The outputs of a model for speaker activities: one for each speaker, or one for each set of speakers."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dataset.encoders.base import VERSION, EncoderError, LabelEncoder

OUTPUTS = ("speakers", "powerset")


class SpeakerEncoder(LabelEncoder):
    """Nothing is learnt: speakers of a window have no names, and any order.

    Attributes:
        classes: of a powerset, the speakers of each class, the empty set first; None if each speaker is an output.
    """

    name = "speaker_activities"

    def __init__(self, outputs: str = "powerset", num_speakers: int = 3, at_once: int = 2) -> None:
        """
        Args:
            outputs: ``speakers``: one for each; ``powerset``: one for each set of speakers.
            num_speakers: the most that speak in one window.
            at_once: the most that speak at once, for a powerset.
        """
        if outputs not in OUTPUTS:
            raise EncoderError(f"outputs is {outputs!r}; expected one of {', '.join(OUTPUTS)}")
        if not 1 <= at_once <= num_speakers:
            raise EncoderError(f"at_once is {at_once}; expected from 1 to num_speakers, which is {num_speakers}")
        self.outputs, self.num_speakers, self.at_once = outputs, num_speakers, at_once
        self.classes: list[tuple[int, ...]] | None = None
        if outputs == "powerset":
            sizes = range(at_once + 1)
            self.classes = [own for size in sizes for own in itertools.combinations(range(num_speakers), size)]

    @classmethod
    def build(
        cls, texts: Iterable[str], outputs: str = "powerset", num_speakers: int = 3, at_once: int = 2
    ) -> SpeakerEncoder:
        """The encoder of these settings; ``texts`` are not read."""
        return cls(outputs, num_speakers, at_once)

    def unknown(self, text: str) -> set[str]:
        return set()

    def __len__(self) -> int:
        return self.num_speakers if self.classes is None else len(self.classes)

    def _record(self) -> dict[str, Any]:
        settings = {"outputs": self.outputs, "num_speakers": self.num_speakers, "at_once": self.at_once}
        return {"name": self.name, "version": VERSION, **settings}

    @classmethod
    def _check_record(cls, record: dict[str, Any], path: Path) -> None:
        expected = {"outputs": str, "num_speakers": int, "at_once": int}
        if any(not isinstance(record.get(key), kind) for key, kind in expected.items()):
            raise EncoderError(f"{path} is damaged: it lacks {', '.join(expected)}; run stage 1 again")

    @classmethod
    def _from_record(cls, record: dict[str, Any], folder: Path) -> SpeakerEncoder:
        return cls(record["outputs"], record["num_speakers"], record["at_once"])
