"""Words for messages: counts, amounts of speech, the nearest known word."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def count(number: int, unit: str) -> str:
    """Return ``1 utterance`` or ``2 utterances``."""
    return f"{number:,} {unit}" if number == 1 else f"{number:,} {unit}{'S' if unit.isupper() else 's'}"


def speech_length(seconds: float) -> str:
    """Return an amount of speech such as 31.2 s, 12.5 min or 100.6 h."""
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"


def nearest(word: str, known: Iterable[str]) -> str:
    """Return ``" (did you mean 'X'?)"`` for the known word most like ``word``, or an empty string."""
    matches = difflib.get_close_matches(str(word), list(known), n=1)
    return f" (did you mean {matches[0]!r}?)" if matches else ""
