"""A model and a task as files: arguments as JSON, weights as safetensors, labels as their encoders write them.

Nothing is unpickled, and no code is imported from a recorded path.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from problems.engine.errors import CheckpointError, ConfigError
from problems.engine.files import read_json, write_json

WEIGHTS = "weights.safetensors"


def referred_prefix(model: Any) -> str | None:
    """The prefix of the weights that are referred to, not saved: those of a frozen upstream."""
    return "upstream." if getattr(model, "upstream_trainable", True) is False else None


def digest(tensors: Mapping[str, Any]) -> str:
    """The SHA-256 of named tensors."""
    import torch

    found = hashlib.sha256()
    for name in sorted(tensors):
        found.update(name.encode())
        found.update(tensors[name].detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def save_weights(folder: Path, model: Any) -> None:
    """Write what training changes of ``model``; of a frozen upstream only a digest, to know it by."""
    from safetensors.torch import save_file

    state, prefix = model.state_dict(), referred_prefix(model)
    frozen = {k: v for k, v in state.items() if prefix and k.startswith(prefix)}
    kept = {k: v.detach().clone().contiguous() for k, v in state.items() if k not in frozen}
    save_file(kept, folder / WEIGHTS)
    if frozen:
        if getattr(model, "_referred_digest", None) is None:
            model._referred_digest = digest(frozen)  # frozen: the same at every save
        write_json(folder / "referred.json", {"upstream": model._referred_digest})


def load_weights(folder: Path, model: Any) -> None:
    """Read into ``model`` what :func:`save_weights` wrote.

    Raises:
        CheckpointError: weights are missing, left over or of another shape, or the frozen upstream is another one.
    """
    from safetensors.torch import load_file

    state = load_file(folder / WEIGHTS)
    own, prefix = model.state_dict(), referred_prefix(model)
    expected = {k for k in own if not (prefix and k.startswith(prefix))}
    missing, left = sorted(expected - state.keys()), sorted(state.keys() - expected)
    shapes = [k for k in expected & state.keys() if own[k].shape != state[k].shape]
    if missing or left or shapes:
        raise CheckpointError(
            f"the weights in {folder} are not this model's:"
            f" missing {missing[:3]}, unknown {left[:3]}, other shapes {shapes[:3]}"
        )
    referred = folder / "referred.json"
    if referred.exists():
        frozen = {k: v for k, v in own.items() if prefix and k.startswith(prefix)}
        if digest(frozen) != read_json(referred)["upstream"]:
            raise CheckpointError(
                f"the frozen upstream is not the one that {folder} was trained on: its weights differ"
            )
    model.load_state_dict(state, strict=False)


def origin(problem: Any) -> dict[str, str]:
    """Which class saved a checkpoint, and in which file it was."""
    try:
        file = inspect.getfile(type(problem))
    except (OSError, TypeError):
        file = ""
    return {"problem": type(problem).__name__, "file": file}


def save_arguments(folder: Path, arguments: Mapping[str, Any]) -> None:
    """Write each argument as JSON, as a label encoder's own files or as a CSV; anything else is refused by name.

    Raises:
        ConfigError: an argument is none of these.
    """
    plain, kinds = {}, {}
    for name, value in arguments.items():
        if hasattr(value, "save") and hasattr(value, "load"):
            kinds[name] = "encoder"
            (folder / name).mkdir(parents=True)
            value.save(folder / name)
        elif type(value).__name__ == "DataFrame":
            kinds[name] = "csv"
            value.astype(str).to_csv(folder / f"{name}.csv", index=False)
        else:
            try:
                plain[name] = json.loads(json.dumps(value))
            except (TypeError, ValueError):
                raise ConfigError(
                    f"the argument {name!r} ({type(value).__name__}) cannot be saved in a checkpoint: expected JSON, "
                    "a label encoder with save and load, or a DataFrame"
                ) from None
    write_json(folder / "arguments.json", {"values": plain, "files": kinds})


def load_arguments(folder: Path, load_encoder: Callable[[str], Any]) -> dict[str, Any]:
    """Read what :func:`save_arguments` wrote; ``load_encoder`` reads a label encoder's folder."""
    try:
        saved = read_json(folder / "arguments.json")
    except (FileNotFoundError, ValueError) as error:
        raise CheckpointError(f"{folder} is not part of a checkpoint: {error}") from error
    values = dict(saved["values"])
    for name, kind in saved["files"].items():
        if kind == "csv":
            import pandas

            values[name] = pandas.read_csv(folder / f"{name}.csv", dtype=str, keep_default_na=False)
        else:
            values[name] = load_encoder(str(folder / name))
    return values


def save_state(folder: Path, state: Mapping[str, Any]) -> None:
    """Write a task's state: tensors as safetensors, the rest as JSON."""
    import torch
    from safetensors.torch import save_file

    tensors = {k: v.detach().cpu().contiguous() for k, v in state.items() if isinstance(v, torch.Tensor)}
    write_json(folder / "state.json", {k: v for k, v in state.items() if k not in tensors})
    if tensors:
        save_file(tensors, folder / "state.safetensors")


def load_state(folder: Path) -> dict[str, Any]:
    """Read what :func:`save_state` wrote."""
    from safetensors.torch import load_file

    tensors = folder / "state.safetensors"
    return read_json(folder / "state.json") | (load_file(tensors) if tensors.exists() else {})
