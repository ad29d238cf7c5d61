"""Results that say when: events, turns of speakers, hits of a query."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tasks import SEPARATOR
from tasks.results.result import Result, Segment


@dataclass
class Events(Result):
    """Events and their times: a segment for each, whose text is its label."""

    events: list[Segment]

    joinable = False

    def __str__(self) -> str:
        return _timed_text(self.events)

    def tiers(self) -> dict[str, list[Segment]]:
        """The events of each label."""
        return _by_text(self.events)


@dataclass
class Turns(Result):
    """Speakers and their times: a segment for each turn, whose text is the speaker."""

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


def _timed_text(segments: Sequence[Segment]) -> str:
    """Segments as a line of text."""
    return SEPARATOR.join(f"{own.start:.2f}-{own.end:.2f} {own.text}" for own in segments)


def _by_text(segments: Sequence[Segment]) -> dict[str, list[Segment]]:
    """Segments by their texts."""
    return {text: [own for own in segments if own.text == text] for text in sorted({own.text for own in segments})}
