"""The names of checkpoint folders."""

from __future__ import annotations

from pathlib import Path


def name_of(step: int) -> str:
    """The folder name of the checkpoint after ``step`` optimizer steps."""
    return f"step_{step:08d}"


def step_of(folder: Path | str) -> int:
    """The step in a checkpoint folder's name."""
    return int(Path(folder).name.removeprefix("step_"))
