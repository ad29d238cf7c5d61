"""The names of checkpoint folders."""

from __future__ import annotations

from pathlib import Path

PREFIX = "step_"


def name_of(step: int) -> str:
    """The folder name of the checkpoint after ``step`` optimizer steps."""
    return f"{PREFIX}{step:08d}"


def step_of(folder: Path | str) -> int:
    """The step in a checkpoint folder's name."""
    return int(Path(folder).name.removeprefix(PREFIX))


def is_name(name: str) -> bool:
    """True for the name of a checkpoint folder."""
    return name.startswith(PREFIX) and name.removeprefix(PREFIX).isdigit()
