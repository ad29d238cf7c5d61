"""The checkpoint of another training that a new one starts from or continues."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from problems.engine.checkpoints.find import find
from problems.engine.config import yaml_text
from problems.engine.runtime.errors import CheckpointError, StageError
from problems.engine.stages.freshness.fingerprint import differences

RESUME, INIT = "resume_ckpt_dir", "init_ckpt_dir"


def find_start(train: Mapping[str, Any], sections: Mapping[str, Any], may_change: Collection[str]) -> dict[str, str]:
    """Return the checkpoint that ``train`` names, by its key; an empty dict if it names none.

    Args:
        train: the config's section.
        sections: the config of the training, which that of a continued checkpoint must equal.
        may_change: dotted keys that may differ.

    Raises:
        CheckpointError: there is no such checkpoint, or it is damaged.
        StageError: the checkpoint to continue was trained with other settings.
    """
    for key in (RESUME, INIT):
        if train[key] is None:
            continue
        try:
            checkpoint = find(Path(train[key]).absolute())
        except CheckpointError as error:
            raise CheckpointError(f"train.{key}: {error}") from error
        if key == RESUME:
            _require_same_settings(checkpoint, sections, may_change)
        return {key: str(checkpoint)}
    return {}


def moved(start: Mapping[str, str], folder: Path, aside: Path) -> dict[str, str]:
    """Return ``start`` with the new path of a checkpoint in ``folder``, which is now ``aside``."""
    return {
        key: str(aside / Path(path).relative_to(folder)) if Path(path).is_relative_to(folder) else path
        for key, path in start.items()
    }


def _require_same_settings(checkpoint: Path, sections: Mapping[str, Any], may_change: Collection[str]) -> None:
    from problems.engine.loops.state import training_state

    training_state.require(checkpoint)
    path = checkpoint / "config.yaml"
    if not path.is_file():  # saved by Problem.train() without a global_config
        return
    config = yaml_text.load(path.read_text(encoding="utf-8"))
    before, now = (
        {"class": "", "code": {}, "inputs": {}, "config": json.loads(json.dumps(settings))}
        for settings in ({name: config[name] for name in sections if name in config}, dict(sections))
    )
    lines = differences(before, now, {*may_change, f"train.{RESUME}", f"train.{INIT}"})
    if lines:
        raise StageError(
            f"train.{RESUME}: {checkpoint} was trained with other settings:\n  " + "\n  ".join(lines) + "\n"
            f"Restore them to continue, or start from its weights alone: --train.{RESUME} null --train.{INIT}"
            f" {checkpoint}"
        )
