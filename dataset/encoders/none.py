"""No labels, for a problem that trains nothing."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dataset.encoders.base import VERSION, LabelEncoder


class NoEncoder(LabelEncoder):
    """Nothing to encode."""

    name = "none"

    @classmethod
    def build(cls, texts: Iterable[str]) -> NoEncoder:
        """The encoder; ``texts`` are not read."""
        return cls()

    def unknown(self, text: str) -> set[str]:
        return set()

    def __len__(self) -> int:
        return 1

    def _record(self) -> dict[str, Any]:
        return {"name": self.name, "version": VERSION}

    @classmethod
    def _check_record(cls, record: dict[str, Any], path: Path) -> None:
        """There is nothing to check."""

    @classmethod
    def _from_record(cls, record: dict[str, Any], folder: Path) -> NoEncoder:
        return cls()
