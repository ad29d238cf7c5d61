"""Slots in a transcript, as marks around their values: ``wake me at ⟦time five am time⟧``.

The marks are brackets that no transcript has, so that values may hold any other character. An intent stands before the
text: ``⟪set_alarm⟫ wake me at ...``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import NamedTuple

OPEN, CLOSE, INTENT_OPEN, INTENT_CLOSE = "⟦⟧⟪⟫"
MARKS = (OPEN, CLOSE, INTENT_OPEN, INTENT_CLOSE)
_SLOT = re.compile(rf"{OPEN}(\S+) (.+?) \1{CLOSE}(?!\S)")
_INTENT = re.compile(rf"{INTENT_OPEN}(\S+){INTENT_CLOSE}(?!\S)")

Slot = tuple[str, str]
"""Name and value."""


class Meaning(NamedTuple):
    """Text, slots and intent of a marked text."""

    text: str
    """Without marks."""
    slots: list[Slot]
    intent: str | None


def is_mark(token: str) -> bool:
    """Return True for a token that begins or ends a slot, or is an intent."""
    return token.startswith((OPEN, INTENT_OPEN)) or token.endswith(CLOSE)


def mark(text: str, slots: Sequence[Slot], intent: str | None = None) -> str:
    """A transcript with marks around the values of its slots, which stand in it in this order.

    Raises:
        ValueError: a value is not in the text, or a name or the text cannot be marked.
    """
    text = " ".join(text.split())
    if any(bracket in text for bracket in MARKS):
        raise ValueError(f"the transcript {text!r} has one of {' '.join(MARKS)}, which mark slots")
    words, marked, place = text.split(" "), [], 0
    for name, value in slots:
        if not name or re.search(r"\s", name):
            raise ValueError(f"a slot is called {name!r}; expected a name without spaces")
        own = value.split()
        first_word = next((p for p in range(place, len(words)) if own and words[p : p + len(own)] == own), None)
        if first_word is None:
            after = "" if not place else f" after {' '.join(words[:place])!r}"
            raise ValueError(f"the value {value!r} of the slot {name!r} is not in {text!r}{after}")
        marked += [*words[place:first_word], f"{OPEN}{name}", *own, f"{name}{CLOSE}"]
        place = first_word + len(own)
    first = [] if intent is None else [f"{INTENT_OPEN}{'_'.join(intent.split())}{INTENT_CLOSE}"]
    return " ".join([*first, *marked, *words[place:]])


def meaning(marked: str) -> Meaning:
    """The text, the slots and the intent of a marked text. Marks without a partner count for nothing."""
    text = " ".join(marked.split())
    slots = [(name, plain(value)) for name, value in _SLOT.findall(text)]
    intents = _INTENT.findall(text)
    return Meaning(plain(text), [(name, value) for name, value in slots if value], intents[0] if intents else None)


def plain(marked: str) -> str:
    """The text without marks."""
    return " ".join(token for token in marked.split() if not is_mark(token))


def slots_of(cell: str) -> list[Slot]:
    """The slots of a cell of a table: JSON, ``[[name, value], ...]`` or ``{name: value}``; empty: none.

    Raises:
        ValueError: it is neither.
    """
    try:
        value = json.loads(cell or "[]")
        pairs = value.items() if isinstance(value, dict) else value
        slots = [(name, " ".join(text.split())) for name, text in pairs]
        if not all(isinstance(name, str) for name, _ in slots):
            raise TypeError
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"slots: expected JSON, [[name, value], ...] or {{name: value}}, got {cell[:80]!r}") from error
    return slots
