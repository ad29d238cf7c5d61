"""What every label encoder is; and those of texts: symbols with ids, 0 the CTC blank and 1 for the unknown."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

from dataset.files import write_text

BLANK = 0  # also what pads a batch of ids
UNKNOWN = 1
SPECIAL = ("<blank>", "<unk>")
UNKNOWN_TEXT = "⁇"  # one character that no transcript has, so that it is one error in any rate
FILE = "encoder.json"
VERSION = 1
CASES = ("keep", "lower", "upper")


class EncoderError(ValueError):
    """Settings, texts or a saved file from which there is no encoder to be had.

    ``place`` is that of the text at fault among the training texts, from 0; None where it is none of them.
    """

    def __init__(self, message: str, place: int | None = None) -> None:
        super().__init__(message)
        self.place = place


class LabelEncoder(ABC):
    """What every encoder has, whatever its labels are: a name to find its class by, and a file of its own."""

    name: ClassVar[str]  # its key in ``dataset.encoders.ENCODERS``, by which it is loaded again

    @classmethod
    @abstractmethod
    def build(cls, texts: Iterable[str], **conf: Any) -> LabelEncoder:
        """Learn the labels from training texts."""

    @abstractmethod
    def unknown(self, text: str) -> set[str]:
        """What of ``text`` this encoder does not know."""

    @abstractmethod
    def __len__(self) -> int:
        """The size of a classifier over the labels."""

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self._record() == other._record()

    def __hash__(self) -> int:
        return hash((type(self), len(self)))

    def save(self, folder: str | Path) -> None:
        """Write ``encoder.json`` into ``folder``, which is made if needed."""
        write_text(Path(folder) / FILE, json.dumps(self._record(), ensure_ascii=False, indent=1) + "\n")

    @classmethod
    def load(cls, folder: str | Path) -> LabelEncoder:
        """What :meth:`save` wrote. ``dataset.encoders.load_encoder`` finds the class too."""
        record = read_record(folder)
        if record["name"] != cls.name:
            raise EncoderError(f"{Path(folder) / FILE} holds a {record['name']!r} encoder, not a {cls.name!r} one")
        cls._check_record(record, Path(folder) / FILE)
        return cls._from_record(record, Path(folder))

    @abstractmethod
    def _record(self) -> dict[str, Any]:
        """What ``encoder.json`` holds: ``name``, ``version`` and what :meth:`_from_record` needs."""

    @classmethod
    @abstractmethod
    def _check_record(cls, record: dict[str, Any], path: Path) -> None:
        """Refuse a record that :meth:`_from_record` cannot take, with an EncoderError that names its file."""

    @classmethod
    @abstractmethod
    def _from_record(cls, record: dict[str, Any], folder: Path) -> LabelEncoder: ...


class Encoder(LabelEncoder):
    """Text to symbol ids and back.

    Every text is normalised first: white space at its ends goes, any inside becomes one space, and ``case``
    is applied. Ids never contain :data:`BLANK`; a symbol that is not known has the id :data:`UNKNOWN`.
    """

    def __init__(self, symbols: Sequence[str], case: str = "keep") -> None:
        """
        Args:
            symbols: all symbols in order of id, opened by :data:`SPECIAL`.
            case: ``keep``, ``lower`` or ``upper``.
        """
        if case not in CASES:
            raise EncoderError(f"case must be one of {', '.join(CASES)}, got {case!r}")
        if tuple(symbols[:2]) != SPECIAL or len(set(symbols)) < len(symbols):
            raise EncoderError(
                f"symbols must open with {', '.join(SPECIAL)} and all differ; got {list(symbols[:5])}..."
            )
        self.symbols = tuple(symbols)
        self.case = case

    @classmethod
    @abstractmethod
    def build(cls, texts: Iterable[str], **conf: Any) -> Encoder:
        """Learn the symbols from training texts."""

    @abstractmethod
    def encode(self, text: str) -> list[int]:
        """Ids of the symbols of ``text``; empty if it has none."""

    @abstractmethod
    def decode(self, ids: Iterable[int]) -> str:
        """The text of ``ids``: blanks dropped, nothing merged, the unknown shown as :data:`UNKNOWN_TEXT`."""

    @abstractmethod
    def unknown(self, text: str) -> set[str]:
        """The symbols of ``text`` that this encoder does not know."""

    def __len__(self) -> int:
        """Number of symbols, blank and unknown included: the size of a classifier over them."""
        return len(self.symbols)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} symbols, case={self.case!r})"

    def _record(self) -> dict[str, Any]:
        """What ``encoder.json`` holds."""
        return {"name": self.name, "version": VERSION, "case": self.case, "symbols": list(self.symbols)}

    @classmethod
    def _check_record(cls, record: dict[str, Any], path: Path) -> None:
        symbols = record.get("symbols")
        if not isinstance(symbols, list) or not all(isinstance(symbol, str) for symbol in symbols):
            raise EncoderError(f"{path} must have a list of strings called 'symbols'; build it again (stage 1)")
        if not isinstance(record.get("case"), str):
            raise EncoderError(f"{path} has no 'case'; build it again (stage 1)")

    @classmethod
    def _from_record(cls, record: dict[str, Any], folder: Path) -> Encoder:
        return cls(record["symbols"], record["case"])

    def _normalise(self, text: str) -> str:
        return normalise(text, self.case)

    def _symbol(self, index: int) -> str:
        if not 0 <= index < len(self.symbols):
            raise EncoderError(f"there is no symbol {index}: this encoder has 0 to {len(self.symbols) - 1}")
        return UNKNOWN_TEXT if index == UNKNOWN else self.symbols[index]


def normalise(text: str, case: str) -> str:
    """``text`` with single spaces, none at its ends, in the case asked for."""
    text = " ".join(text.split())
    return {"keep": text, "lower": text.lower(), "upper": text.upper()}[case]


def training_texts(texts: Iterable[str], case: str) -> list[str]:
    """The texts normalised, those without any symbol left out; an EncoderError if none has one."""
    if case not in CASES:
        raise EncoderError(f"case must be one of {', '.join(CASES)}, got {case!r}")
    if isinstance(texts, str):
        raise EncoderError(f"an encoder is built from many texts, got the one text {texts[:40]!r}")
    given = list(texts)
    kept = [text for text in (normalise(text, case) for text in given) if text]
    if not kept:
        what = f"all {len(given)} texts are empty" if given else "there are no texts"
        raise EncoderError(f"an encoder cannot be built: {what}; look at the transcriptions of the training set")
    return kept


def read_record(folder: str | Path) -> dict[str, Any]:
    """The content of ``folder``'s ``encoder.json``, checked as far as every encoder needs."""
    path = Path(folder) / FILE
    try:
        record = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no encoder in {folder}: {FILE} is missing") from None
    except ValueError as error:
        raise EncoderError(f"{path} is damaged, build the encoder again (stage 1): {error}") from error
    if not isinstance(record, dict) or not isinstance(record.get("name"), str):
        raise EncoderError(f"{path} does not name its encoder; build it again (stage 1)")
    if record.get("version") != VERSION:
        raise EncoderError(f"{path} is of version {record.get('version')!r}, this program reads {VERSION}")
    return record
