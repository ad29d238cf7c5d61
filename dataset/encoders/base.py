"""Base of all label encoders: a name, a class to build or load, and one JSON file."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

from dataset.storage.files import write_text

FILE = "encoder.json"
VERSION = 1


class EncoderError(ValueError):
    """An encoder cannot be built or loaded from the given settings, texts or file.

    ``place`` is the index of the text at fault among the training texts; None if it is not one text's fault.
    """

    def __init__(self, message: str, place: int | None = None) -> None:
        super().__init__(message)
        self.place = place


class LabelEncoder(ABC):
    """Labels to numbers and back, learnt from training texts, saved as JSON.

    ``_record`` and ``_from_record`` turn an encoder into the content of its file and back.
    """

    name: ClassVar[str]  # its key in the registries of ``dataset.encoders``, by which it is loaded again

    @classmethod
    @abstractmethod
    def build(cls, texts: Iterable[str], **conf: Any) -> LabelEncoder:
        """Learn the labels from training texts."""

    @abstractmethod
    def unknown(self, text: str) -> set[str]:
        """Return the labels or symbols of ``text`` that do not occur in the training texts."""

    @abstractmethod
    def __len__(self) -> int:
        """The number of outputs that a classifier over the labels has."""

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self._record() == other._record()

    def __hash__(self) -> int:
        return hash((type(self), len(self)))

    def save(self, folder: str | Path) -> None:
        """Write ``encoder.json`` into ``folder``, which is created if needed."""
        write_text(Path(folder) / FILE, json.dumps(self._record(), ensure_ascii=False, indent=1) + "\n")

    @classmethod
    def load(cls, folder: str | Path) -> LabelEncoder:
        """Load an encoder of this class; :func:`dataset.encoders.load_encoder` finds the class by itself.

        Raises:
            FileNotFoundError: ``encoder.json`` is missing.
            EncoderError: it is damaged, or of another encoder.
        """
        record, path = read_record(folder), Path(folder) / FILE
        if record["name"] != cls.name:
            raise EncoderError(f"{path} holds a {record['name']!r} encoder, not a {cls.name!r} encoder")
        cls._check_record(record, path)
        return cls._from_record(record, Path(folder))

    @abstractmethod
    def _record(self) -> dict[str, Any]:
        """Return the content of ``encoder.json``: ``name``, ``version`` and what :meth:`_from_record` needs."""

    @classmethod
    @abstractmethod
    def _check_record(cls, record: dict[str, Any], path: Path) -> None:
        """Raise an EncoderError that names the file if :meth:`_from_record` cannot take the record."""

    @classmethod
    @abstractmethod
    def _from_record(cls, record: dict[str, Any], folder: Path) -> LabelEncoder:
        """Build the encoder again from a record, and from the other files of its folder."""


def read_record(folder: str | Path) -> dict[str, Any]:
    """Read ``encoder.json`` and check ``name`` and ``version``."""
    path = Path(folder) / FILE
    try:
        record = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise FileNotFoundError(f"{folder} holds no encoder: {FILE} is missing") from None
    except ValueError as error:
        raise EncoderError(f"{path} is damaged ({error}); build the encoder again (stage 1)") from error
    if not isinstance(record, dict) or not isinstance(record.get("name"), str):
        raise EncoderError(f"{path} does not name its encoder; build the encoder again (stage 1)")
    if record.get("version") != VERSION:
        raise EncoderError(f"{path} has version {record.get('version')!r}; expected {VERSION}")
    return record
