"""The state that a task has learnt in the validation of a test, beside the results of its checkpoint.

A checkpoint is never written again; predictions with the same settings of the task take the state from here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dataset.storage.files import read_json, write_json

LEARNT = "learnt.json"


def write_learnt(folder: Path, build_task: Mapping[str, Any], state: Mapping[str, Any]) -> None:
    """Add a state, which is JSON; ``folder`` has the results of the checkpoint."""
    write_json(folder / LEARNT, {**_all(folder), _key(build_task): dict(state)})


def read_learnt(checkpoint: Path, build_task: Mapping[str, Any]) -> dict[str, Any] | None:
    """The state that was learnt with these settings; None if the checkpoint, or an exported one, has none of them."""
    return _all(folder_of(checkpoint)).get(_key(build_task))


def folder_of(checkpoint: Path) -> Path:
    """The folder of what was learnt: an exported checkpoint's own, or that of its results where it was trained."""
    is_own = (checkpoint / LEARNT).is_file()
    return checkpoint if is_own else checkpoint.parent.parent / "evaluate" / checkpoint.name


def _all(folder: Path) -> dict[str, Any]:
    try:
        return dict(read_json(folder / LEARNT))
    except (OSError, ValueError, TypeError):
        return {}


def _key(build_task: Mapping[str, Any]) -> str:
    text = json.dumps(build_task, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
