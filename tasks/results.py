"""Results of a model on new audio, one class for each kind of prediction."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from tasks import SEPARATOR


@dataclass(frozen=True)
class Segment:
    """A word, a phone or a turn: its times in seconds, and its confidence in [0, 1] if it has one."""

    start: float
    end: float
    text: str
    confidence: float | None = None

    def moved(self, seconds: float) -> Segment:
        """The segment, later by ``seconds``."""
        return dataclasses.replace(self, start=round(self.start + seconds, 3), end=round(self.end + seconds, 3))

    def to_dict(self) -> dict[str, Any]:
        """The segment as JSON."""
        return {name: value for name, value in dataclasses.asdict(self).items() if value is not None}


@dataclass
class Result:
    """The prediction for one recording; ``str()`` is its line of text.

    Args:
        source: the path or the name of the recording.
        seconds: its length.
    """

    source: str | None = field(default=None, kw_only=True)
    seconds: float | None = field(default=None, kw_only=True)

    joinable: ClassVar[bool] = True
    """True if the results of a recording's pieces can be joined."""

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        origin = {name: values.pop(name) for name in ("source", "seconds") if name in values}
        return {name: _plain(value) for name, value in (origin | values).items()}

    def tiers(self) -> dict[str, list[Segment]]:
        """What has times, by the name of its tier; none by default."""
        return {}

    @classmethod
    def joined(cls, pieces: Sequence[tuple[float, float, Any]]) -> Any:
        """The result of a recording from those of its pieces: (start, seconds, result) of each, at least one."""
        raise NotImplementedError(f"{cls.__name__} of pieces cannot be joined")


def _plain(value: Any) -> Any:
    if isinstance(value, (Segment, Result)):
        return value.to_dict()
    if isinstance(value, Mapping):
        return {str(name): _plain(own) for name, own in value.items()}
    return [_plain(own) for own in value] if isinstance(value, (list, tuple)) else value


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


@dataclass
class Label(Result):
    """A label, its probability, and that of each label, the likeliest first."""

    label: str
    probability: float
    probabilities: dict[str, float]

    def __str__(self) -> str:
        return self.label

    def top(self, k: int) -> list[tuple[str, float]]:
        """The ``k`` likeliest labels with their probabilities."""
        return list(self.probabilities.items())[:k]

    @classmethod
    def of(cls, probabilities: Mapping[str, float]) -> Label:
        """The likeliest label; of equal ones the first."""
        ranked = dict(sorted(probabilities.items(), key=lambda item: -item[1]))
        label = next(iter(ranked))
        return cls(label, ranked[label], ranked)

    @classmethod
    def joined(cls, pieces: Sequence[tuple[float, float, Label]]) -> Label:
        """The mean of the probabilities, each piece weighted by its length."""
        return pieces[0][2] if len(pieces) == 1 else cls.of(_mean([(s, own.probabilities) for _, s, own in pieces]))


@dataclass
class LabelsOfSlots(Result):
    """A label for each slot, and the probability that all are right if they are independent."""

    slots: dict[str, Label]

    def __str__(self) -> str:
        return SEPARATOR.join(label.label for label in self.slots.values())

    @property
    def probability(self) -> float:
        """The product of the labels' probabilities."""
        return math.prod(label.probability for label in self.slots.values())

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON."""
        slots = {name: {"label": own.label, "probability": own.probability} for name, own in self.slots.items()}
        return {**super().to_dict(), "label": str(self), "probability": self.probability, "slots": slots}

    @classmethod
    def joined(cls, pieces: Sequence[tuple[float, float, LabelsOfSlots]]) -> LabelsOfSlots:
        """The mean of the probabilities of each slot, each piece weighted by its length."""
        names = pieces[0][2].slots
        return cls({name: Label.joined([(t, s, own.slots[name]) for t, s, own in pieces]) for name in names})


@dataclass
class Tags(Result):
    """The labels whose probability is above ``threshold``, and the probability of each label."""

    labels: list[str]
    probabilities: dict[str, float]
    threshold: float

    def __str__(self) -> str:
        return SEPARATOR.join(self.labels)

    @classmethod
    def of(cls, probabilities: Mapping[str, float], threshold: float) -> Tags:
        """The labels above a threshold, in the order of ``probabilities``."""
        return cls([name for name, p in probabilities.items() if p > threshold], dict(probabilities), threshold)

    @classmethod
    def joined(cls, pieces: Sequence[tuple[float, float, Tags]]) -> Tags:
        """The mean of the probabilities, each piece weighted by its length."""
        if len(pieces) == 1:
            return pieces[0][2]
        return cls.of(_mean([(s, own.probabilities) for _, s, own in pieces]), pieces[0][2].threshold)


@dataclass
class Embedding(Result):
    """An embedding of the whole recording."""

    vector: list[float]

    def __str__(self) -> str:
        return json.dumps(self.vector)

    @classmethod
    def joined(cls, pieces: Sequence[tuple[float, float, Embedding]]) -> Embedding:
        """The mean of the vectors, each piece weighted by its length."""
        if len(pieces) == 1:
            return pieces[0][2]
        numbered = [(s, dict(enumerate(own.vector))) for _, s, own in pieces]
        return cls(list(_mean(numbered).values()))


@dataclass
class Verification(Result):
    """The score of a recording against an enrolment.

    Args:
        score: the higher, the likelier the same speaker.
        probability: that the speaker is the same, if half of all pairs are; None without a validation.
        same: the decision at the threshold of the validation; None without one.
    """

    score: float
    probability: float | None
    same: bool | None

    joinable = False

    def __str__(self) -> str:
        verdict = {True: "\tsame", False: "\tdifferent", None: ""}[self.same]
        return f"{self.score:.4f}{verdict}"


@dataclass
class Estimate(Result):
    """A number."""

    value: float

    def __str__(self) -> str:
        return f"{self.value:g}"

    @classmethod
    def joined(cls, pieces: Sequence[tuple[float, float, Estimate]]) -> Estimate:
        """The mean of the numbers, each piece weighted by its length."""
        return pieces[0][2] if len(pieces) == 1 else cls(_mean([(s, {0: own.value}) for _, s, own in pieces])[0])


@dataclass
class Events(Result):
    """What happens when: a segment for each event, whose text is its label."""

    events: list[Segment]

    joinable = False

    def __str__(self) -> str:
        return _timed_text(self.events)

    def tiers(self) -> dict[str, list[Segment]]:
        """The events of each label."""
        return _by_text(self.events)


@dataclass
class Turns(Result):
    """Who speaks when: a segment for each turn, whose text is the speaker."""

    turns: list[Segment]

    joinable = False

    def __str__(self) -> str:
        return _timed_text(self.turns)

    def tiers(self) -> dict[str, list[Segment]]:
        """The turns of each speaker."""
        return _by_text(self.turns)


@dataclass(frozen=True)
class Hit:
    """A place in a document that may match a query."""

    document: str
    start: float
    end: float
    score: float


@dataclass
class Hits(Result):
    """The likeliest places of a query, the best first."""

    hits: list[Hit]

    joinable = False

    def __str__(self) -> str:
        return " ; ".join(f"{hit.document} {hit.start:.2f}-{hit.end:.2f} {hit.score:.2f}" for hit in self.hits)

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON."""
        return {**super().to_dict(), "hits": [dataclasses.asdict(hit) for hit in self.hits]}


@dataclass
class Value(Result):
    """Any other prediction, as a task of your own returns it."""

    value: Any

    joinable = False

    def __str__(self) -> str:
        return str(self.value)


def _mean(pieces: Sequence[tuple[float, Mapping[Any, float]]]) -> dict[Any, float]:
    """The mean of equally named values, weighted."""
    total = math.fsum(weight for weight, _ in pieces)
    return {name: math.fsum(weight * own[name] for weight, own in pieces) / total for name in pieces[0][1]}


def _timed_text(segments: Sequence[Segment]) -> str:
    return SEPARATOR.join(f"{own.start:.2f}-{own.end:.2f} {own.text}" for own in segments)


def _by_text(segments: Sequence[Segment]) -> dict[str, list[Segment]]:
    return {text: [own for own in segments if own.text == text] for text in sorted({own.text for own in segments})}
