"""Files that settings name, such as a language model, carried inside an exported folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

FOLDER = "files"
PREFIX = "carried:"
"""The beginning of a setting whose file lies in :data:`FOLDER` of the exported folder."""


def replaced(value: Any, names: Mapping[str, str]) -> Any:
    """Settings in which each text that is a key of ``names`` is its value."""
    if isinstance(value, Mapping):
        return {key: replaced(own, names) for key, own in value.items()}
    if isinstance(value, list):
        return [replaced(own, names) for own in value]
    return names.get(value, value) if isinstance(value, str) else value


def resolved(value: Any, checkpoint: Path) -> Any:
    """Settings of a checkpoint with the paths of the files that it carries."""
    folder = Path(checkpoint).absolute() / FOLDER
    names = {f"{PREFIX}{path.name}": str(path) for path in folder.iterdir()} if folder.is_dir() else {}
    return replaced(value, names)
