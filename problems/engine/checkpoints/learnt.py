"""The state that a task has learnt in the validation of a test, beside the results of its checkpoint.

A checkpoint is never written again; predictions with the same settings of the task take the state from here. Beside a
training, it is tied to the checkpoint by a digest: another one of the same name does not take it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dataset.storage.files import read_json, sha256, write_json
from problems.engine.checkpoints.writing import MANIFEST

log = logging.getLogger(__name__)

LEARNT = "learnt.json"


def write_learnt(folder: Path, checkpoint: Path, build_task: Mapping[str, Any], state: Mapping[str, Any]) -> None:
    """Add a state, which is JSON; ``folder`` has the results of the checkpoint."""
    digest = sha256(checkpoint / MANIFEST)
    states = _states(folder / LEARNT, digest) | {_key(build_task): dict(state)}
    write_json(folder / LEARNT, {"checkpoint": digest, "states": states})


def read_learnt(checkpoint: Path, build_task: Mapping[str, Any]) -> dict[str, Any] | None:
    """The state that was learnt with these settings; None if the checkpoint, or an exported one, has none of them."""
    path, digest = _place(checkpoint)
    return _states(path, digest).get(_key(build_task))


def copy_learnt(checkpoint: Path, folder: Path) -> None:
    """Copy what was learnt with any settings, if there is anything, into the folder of an exported checkpoint."""
    path, digest = _place(checkpoint)
    if _states(path, digest):
        shutil.copyfile(path, folder / LEARNT)


def _place(checkpoint: Path) -> tuple[Path, str | None]:
    """The file of what was learnt, and the digest that it must name: none in the folder of an exported checkpoint."""
    if (checkpoint / LEARNT).is_file():
        return checkpoint / LEARNT, None
    path = checkpoint.parent.parent / "evaluate" / checkpoint.name / LEARNT
    return path, sha256(checkpoint / MANIFEST) if path.is_file() else None


def _states(path: Path, digest: str | None) -> dict[str, Any]:
    """The states of a file by their settings; none if it is of another checkpoint."""
    try:
        content = read_json(path)
        states = dict(content["states"])
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError):
        log.warning("%s is damaged and left out: run stage 3 (--start 3), which writes it again", path)
        return {}
    return states if digest in (None, content.get("checkpoint")) else {}


def _key(build_task: Mapping[str, Any]) -> str:
    text = json.dumps(build_task, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
