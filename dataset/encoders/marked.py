"""Characters, and marks of slots and intents as single symbols."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dataset.encoders.text import SPECIAL, SymbolEncoder, check_case, normalise, training_texts
from dataset.language.slots import CLOSE, INTENT_CLOSE, INTENT_OPEN, OPEN, is_mark


class MarkedCharacterEncoder(SymbolEncoder):
    """The characters of a transcript with marks (:mod:`dataset.language.slots`), each mark one symbol."""

    name = "marked_character"

    @classmethod
    def build(
        cls, texts: Iterable[str], case: str = "keep", slots: Sequence[str] = (), intents: Sequence[str] = ()
    ) -> MarkedCharacterEncoder:
        """Learn every character and every mark of the texts.

        Args:
            texts: marked training transcripts.
            case: ``keep``, or make the words ``lower`` or ``upper`` case; marks stay as they are.
            slots: further names of slots, which only other sets have.
            intents: likewise.
        """
        in_case = [_in_case(text, case) for text in training_texts(texts, "keep")]
        symbols = {symbol for text in in_case for symbol in cls._split(text)}
        symbols |= {f"{INTENT_OPEN}{name}{INTENT_CLOSE}" for name in intents}
        symbols |= {mark for name in slots for mark in (f"{OPEN}{name}", f"{name}{CLOSE}")}
        return cls([*SPECIAL, *sorted(symbols - set(SPECIAL))], case)

    def _normalise(self, text: str) -> str:
        return _in_case(normalise(text, "keep"), self.case)

    @staticmethod
    def _split(text: str) -> list[str]:
        symbols: list[str] = []
        for place, token in enumerate(text.split(" ")):
            symbols += ([" "] if place else []) + ([token] if is_mark(token) else list(token))
        return symbols

    @staticmethod
    def _join(symbols: list[str]) -> str:
        # a mark stands alone, also where the model left out the space beside it
        return " ".join("".join(f" {symbol} " if is_mark(symbol) else symbol for symbol in symbols).split())


def _in_case(text: str, case: str) -> str:
    check_case(case)
    return " ".join(token if is_mark(token) else normalise(token, case) for token in text.split(" "))
