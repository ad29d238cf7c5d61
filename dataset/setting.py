"""Declare a config setting: its default, its meaning, its bounds, and whether a resumed training may change it.

Sections of the config and corpora are dataclasses whose fields are declared with :func:`setting`, so that the command
line can list and check them without importing anything heavy.
"""

from __future__ import annotations

import copy
import dataclasses
from typing import Any, Literal

REQUIRED = "???"  # omegaconf's mark of a value that the user must give


def setting(
    default: Any,
    help: str,
    *,
    min: float | None = None,
    max: float | None = None,
    choices: tuple[str, ...] | None = None,
    registry: str | None = None,
    resume: Literal["free", "extends", "starts"] | None = None,
    heading: str | None = None,
    test_time: bool = False,
) -> Any:
    """A dataclass field with its help line and, if it has any, its bounds or choices.

    Args:
        default: the default value; ``REQUIRED`` if the user must give one; a dataclass for a nested section.
        help: one line for ``--help``, without a full stop.
        min, max: inclusive bounds of a number.
        choices: the only strings allowed.
        registry: ``"module:MAPPING"`` if the value names an entry of that registry. The entry's own settings belong
            in the field ``conf`` of the same section or, if the section has none, in the section itself.
        resume: whether the value may differ when a training is resumed. ``"free"``: it may, since it does not affect
            the result; ``"extends"``: it may, and the training continues to the new value; ``"starts"``: it may
            become null, since only the start of a training reads it; None: it may not.
        test_time: True if a trained model may be tested with another value (``evaluate.task``, ``evaluate.dataset``).
        heading: what ``--help`` prints above this and the following settings of its section.
    """
    metadata = {
        "help": help,
        "min": min,
        "max": max,
        "choices": choices,
        "registry": registry,
        "resume": resume,
        "heading": heading,
        "test_time": test_time,
    }
    if isinstance(default, (list, dict)) or dataclasses.is_dataclass(default):
        return dataclasses.field(default_factory=lambda: copy.deepcopy(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)
