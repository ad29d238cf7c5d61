"""A declared setting: its default, what it means, and what it may be.

Sections of the config and corpora are dataclasses whose fields are made here, so that the command line can
list and check them without importing anything heavy.
"""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

REQUIRED = "???"  # omegaconf's own mark of a value that the user must give


def option(
    default: Any,
    help: str,
    *,
    min: float | None = None,
    max: float | None = None,
    choices: tuple[str, ...] | None = None,
    registry: str | None = None,
) -> Any:
    """A dataclass field with one line of meaning and, where they exist, its bounds or its choices.

    Args:
        default: the value when the user says nothing; ``REQUIRED`` for none; a dataclass for a nested section.
        help: one line, without a full stop, for ``--help``.
        min, max: inclusive bounds of a number.
        choices: the only strings allowed.
        registry: ``"module:MAPPING"`` when the value names a part of that registry, whose own settings then
            stand in the field ``conf`` beside it, or, where there is none, beside it directly.
    """
    metadata = {"help": help, "min": min, "max": max, "choices": choices, "registry": registry}
    if isinstance(default, (list, dict)) or dataclasses.is_dataclass(default):
        return dataclasses.field(default_factory=lambda: copy.deepcopy(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)
