"""The part of a task that is not its model: its own weights, and its state as tensors and JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from dataset.storage.files import read_json, write_text
from problems.engine.checkpoints.arguments import has_text_keys
from problems.engine.checkpoints.weights import WEIGHTS, save_tensors
from problems.engine.runtime.errors import CheckpointError, ConfigError

if TYPE_CHECKING:
    from tasks.base import Task

STATE, STATE_TENSORS = "state.json", "state.safetensors"


def save_task(folder: Path, task: Task) -> None:
    """Write the weights that a task has beside its model, and its state.

    Raises:
        ConfigError: a value of the state is neither a tensor nor JSON.
    """
    state = task.get_state()
    tensors = {name: value for name, value in state.items() if isinstance(value, Tensor)}
    plain = {name: value for name, value in state.items() if name not in tensors}
    for name, value in plain.items():
        if not _is_json(value):
            raise ConfigError(
                f"{type(task).__name__}.get_state() returns {name!r} ({type(value).__name__}), which a checkpoint"
                " cannot hold: expected a tensor, or JSON whose keys are text"
            )
    # not write_json: a running value may be infinite or NaN and must come back as it is
    write_text(folder / STATE, json.dumps(plain, ensure_ascii=False) + "\n")
    if tensors:
        save_tensors(folder / STATE_TENSORS, tensors)
    weights = _weights_beside_model(task)
    if weights:
        save_tensors(folder / WEIGHTS, weights)


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return False
    return has_text_keys(value)


def load_task(folder: Path, task: Task) -> None:
    """Read into ``task`` what :func:`save_task` wrote.

    Raises:
        CheckpointError: the weights do not fit this task.
    """
    from safetensors.torch import load_file

    path = folder / WEIGHTS
    saved, current = load_file(path) if path.exists() else {}, _weights_beside_model(task)
    if {k: v.shape for k, v in saved.items()} != {k: v.shape for k, v in current.items()}:
        raise CheckpointError(
            f"the weights in {folder} do not fit this task: it has {sorted(current)[:3]}, the file {sorted(saved)[:3]}"
        )
    task.load_state_dict(saved, strict=False)
    tensors = folder / STATE_TENSORS
    task.set_state(read_json(folder / STATE) | (load_file(tensors) if tensors.exists() else {}))


def _weights_beside_model(task: Task) -> dict[str, Tensor]:
    return {name: value for name, value in task.state_dict().items() if not name.startswith("model.")}
