"""The base of the results of a model on new audio, and the segments that they are made of."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar


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
        """The parts that have times, by the name of their tier; none by default."""
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
class Value(Result):
    """Any other prediction, as a task of your own returns it."""

    value: Any

    joinable = False

    def __str__(self) -> str:
        return str(self.value)


def mean(pieces: Sequence[tuple[float, Mapping[Any, float]]]) -> dict[Any, float]:
    """The mean of equally named values, weighted."""
    total = math.fsum(weight for weight, _ in pieces)
    return {name: math.fsum(weight * own[name] for weight, own in pieces) / total for name in pieces[0][1]}
