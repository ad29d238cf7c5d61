"""Text encoders: characters, words or phones to symbol ids and back."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from dataset.encoders.base import VERSION, EncoderError, LabelEncoder

BLANK = 0  # of CTC; also the padding of a batch of ids
UNKNOWN = 1
SPECIAL = ("<blank>", "<unk>")
UNKNOWN_TEXT = "⁇"  # one character that no transcript has, so that it counts as one error in WER and CER
CASES = ("keep", "lower", "upper")


class TextEncoder(LabelEncoder):
    """Text to symbol ids and back.

    Every text is normalised first: single spaces, none at the ends, in the chosen ``case``. Ids never contain
    :data:`BLANK`. An unknown symbol has the id :data:`UNKNOWN`.

    A subclass needs a ``name`` and the methods ``build``, ``encode`` and ``decode``.
    """

    def __init__(self, symbols: Sequence[str], case: str = "keep") -> None:
        """
        Args:
            symbols: all symbols in order of id, beginning with :data:`SPECIAL`.
            case: ``keep``, ``lower`` or ``upper``.
        """
        check_case(case)
        if tuple(symbols[:2]) != SPECIAL or len(set(symbols)) < len(symbols):
            raise EncoderError(
                f"symbols must begin with {', '.join(SPECIAL)} and all differ; got {list(symbols[:5])}..."
            )
        self.symbols = tuple(symbols)
        self.case = case

    @abstractmethod
    def encode(self, text: str) -> list[int]:
        """Return the ids of the symbols of ``text``."""

    @abstractmethod
    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of ``ids``: without blanks, nothing merged, the unknown as :data:`UNKNOWN_TEXT`."""

    def unknown(self, text: str) -> set[str]:
        """Return the symbols of ``text`` that do not occur in the training texts; none, unless overridden."""
        return set()

    def __len__(self) -> int:
        """The number of symbols, blank and unknown included."""
        return len(self.symbols)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} symbols, case={self.case!r})"

    def _record(self) -> dict[str, Any]:
        return {"name": self.name, "version": VERSION, "case": self.case, "symbols": list(self.symbols)}

    @classmethod
    def _check_record(cls, record: dict[str, Any], path: Path) -> None:
        symbols = record.get("symbols")
        if not isinstance(symbols, list) or not all(isinstance(symbol, str) for symbol in symbols):
            raise EncoderError(f"{path} must have a list of strings 'symbols'; build the encoder again (stage 1)")
        if not isinstance(record.get("case"), str):
            raise EncoderError(f"{path} has no 'case'; build the encoder again (stage 1)")

    @classmethod
    def _from_record(cls, record: dict[str, Any], folder: Path) -> TextEncoder:
        return cls(record["symbols"], record["case"])

    def _normalise(self, text: str) -> str:
        return normalise(text, self.case)

    def _symbol(self, index: int) -> str:
        if not 0 <= index < len(self.symbols):
            raise EncoderError(f"symbol {index} does not exist; this encoder has 0 to {len(self.symbols) - 1}")
        return UNKNOWN_TEXT if index == UNKNOWN else self.symbols[index]


class SymbolEncoder(TextEncoder):
    """A text is split into symbols; their ids follow the order of code points, after the special ones."""

    def __init__(self, symbols: Sequence[str], case: str = "keep") -> None:
        super().__init__(symbols, case)
        # the word "<blank>" or "<unk>" in a text is an unknown word
        self._ids = {symbol: index for index, symbol in enumerate(self.symbols) if index >= len(SPECIAL)}

    @classmethod
    def build(cls, texts: Iterable[str], case: str = "keep") -> SymbolEncoder:
        """Learn every symbol of the texts.

        Args:
            texts: training transcripts.
            case: ``keep``, or make every text ``lower`` or ``upper`` case.
        """
        symbols = {symbol for text in training_texts(texts, case) for symbol in cls._split(text)}
        return cls([*SPECIAL, *sorted(symbols - set(SPECIAL))], case)

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
    """Characters (Unicode code points), including the space."""

    name = "character"

    @staticmethod
    def _split(text: str) -> list[str]:
        return list(text)

    @staticmethod
    def _join(symbols: list[str]) -> str:
        return "".join(symbols)


class WordEncoder(SymbolEncoder):
    """Words, separated by white space."""

    name = "word"

    @staticmethod
    def _split(text: str) -> list[str]:
        return text.split()

    @staticmethod
    def _join(symbols: list[str]) -> str:
        return " ".join(symbols)


class PhonemeEncoder(WordEncoder):
    """Phones, separated by white space, such as ``HH AH0 L OW1``."""

    name = "phoneme"


def normalise(text: str, case: str) -> str:
    """Return ``text`` with single spaces, none at its ends, in ``keep``, ``lower`` or ``upper`` case."""
    text = " ".join(text.split())
    return {"keep": text, "lower": text.lower(), "upper": text.upper()}[case]


def training_texts(texts: Iterable[str], case: str) -> list[str]:
    """Return the normalised texts that are not empty.

    Raises:
        EncoderError: all are empty, or ``case`` is unknown.
    """
    check_case(case)
    if isinstance(texts, str):
        raise EncoderError(f"an encoder is built from a list of texts; got one text, {texts[:40]!r}")
    texts = list(texts)
    normalised = [text for text in (normalise(text, case) for text in texts) if text]
    if not normalised:
        reason = f"all {len(texts)} texts are empty" if texts else "there are no texts"
        raise EncoderError(f"an encoder cannot be built: {reason}; check the transcriptions of the training set")
    return normalised


def check_case(case: str) -> None:
    """Raise an EncoderError unless ``case`` is one of :data:`CASES`."""
    if case not in CASES:
        raise EncoderError(f"case must be one of {', '.join(CASES)}; got {case!r}")
