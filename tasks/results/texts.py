"""Results that are text: transcripts, phones, known phones with their times, slots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tasks.results.result import Result, Segment


@dataclass
class Transcript(Result):
    """Text, its words with their times and confidences if the decoder gives them, and the best texts with log scores.

    A recording that was taken in several pieces has no ``nbest``.
    """

    text: str
    words: list[Segment] = field(default_factory=list)
    nbest: list[tuple[str, float]] = field(default_factory=list)

    def __str__(self) -> str:
        return self.text

    def tiers(self) -> dict[str, list[Segment]]:
        """The words."""
        return {"words": self.words}

    @classmethod
    def joined(cls, pieces: Sequence[tuple[float, float, Transcript]]) -> Transcript:
        """The texts in turn."""
        words = [word.moved(start) for start, _, own in pieces for word in own.words]
        text = " ".join(own.text for _, _, own in pieces if own.text)
        return cls(text, words, pieces[0][2].nbest if len(pieces) == 1 else [])


@dataclass
class Phones(Result):
    """Phones separated by spaces, and each with its times."""

    text: str
    phones: list[Segment] = field(default_factory=list)

    def __str__(self) -> str:
        return self.text

    def tiers(self) -> dict[str, list[Segment]]:
        """The phones."""
        return {"phones": self.phones}

    @classmethod
    def joined(cls, pieces: Sequence[tuple[float, float, Phones]]) -> Phones:
        """The phones in turn."""
        phones = [phone.moved(start) for start, _, own in pieces for phone in own.phones]
        return cls(" ".join(own.text for _, _, own in pieces if own.text), phones)


@dataclass
class Alignment(Phones):
    """Known phones, each with its times, and the words that they are the phones of, if they were given as words."""

    words: list[Segment] = field(default_factory=list)

    joinable = False

    def tiers(self) -> dict[str, list[Segment]]:
        """The words, if there are any, and the phones."""
        return ({"words": self.words} if self.words else {}) | super().tiers()


@dataclass
class Slots(Result):
    """Text, its slots as (name, value), and its intent; ``marked`` is the text with marks around the values."""

    text: str
    slots: list[tuple[str, str]]
    intent: str | None
    marked: str

    def __str__(self) -> str:
        return self.marked

    @classmethod
    def joined(cls, pieces: Sequence[tuple[float, float, Slots]]) -> Slots:
        """The texts and the slots in turn, and the first intent."""
        results = [own for _, _, own in pieces]
        text, marked = (" ".join(t for t in texts if t) for texts in zip(*((own.text, own.marked) for own in results)))
        intents = (own.intent for own in results if own.intent is not None)
        return cls(text, [slot for own in results for slot in own.slots], next(intents, None), marked)
