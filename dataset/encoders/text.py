"""Encoders whose symbols are parts of the text itself: characters, words, phones."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence

from dataset.encoders.base import BLANK, SPECIAL, UNKNOWN, Encoder, training_texts


class SymbolEncoder(Encoder):
    """A text is split into symbols, each has an id, in order of code points after the special ones."""

    def __init__(self, symbols: Sequence[str], case: str = "keep") -> None:
        super().__init__(symbols, case)
        # a text that holds "<blank>" or "<unk>" as a word holds an unknown word
        self._ids = {symbol: index for index, symbol in enumerate(self.symbols) if index >= len(SPECIAL)}

    @classmethod
    def build(cls, texts: Iterable[str], case: str = "keep") -> SymbolEncoder:
        """Every symbol of the texts.

        Args:
            texts: training transcripts.
            case: ``keep``, or make every text ``lower`` or ``upper`` case.
        """
        found = {symbol for text in training_texts(texts, case) for symbol in cls._split(text)}
        return cls([*SPECIAL, *sorted(found - set(SPECIAL))], case)

    def encode(self, text: str) -> list[int]:
        return [self._ids.get(symbol, UNKNOWN) for symbol in self._split(self._normalise(text))]

    def decode(self, ids: Iterable[int]) -> str:
        return self._join([self._symbol(int(index)) for index in ids if int(index) != BLANK])

    def unknown(self, text: str) -> set[str]:
        return {symbol for symbol in self._split(self._normalise(text)) if symbol not in self._ids}

    @staticmethod
    @abstractmethod
    def _split(text: str) -> list[str]: ...

    @staticmethod
    @abstractmethod
    def _join(symbols: list[str]) -> str: ...


class CharacterEncoder(SymbolEncoder):
    """Characters (Unicode code points), the space being one of them."""

    name = "character"

    @staticmethod
    def _split(text: str) -> list[str]:
        return list(text)

    @staticmethod
    def _join(symbols: list[str]) -> str:
        return "".join(symbols)


class WordEncoder(SymbolEncoder):
    """Words: whatever stands between white space."""

    name = "word"

    @staticmethod
    def _split(text: str) -> list[str]:
        return text.split()

    @staticmethod
    def _join(symbols: list[str]) -> str:
        return " ".join(symbols)


class PhonemeEncoder(WordEncoder):
    """Phones written with white space between them, such as ``HH AH0 L OW1``."""

    name = "phoneme"
