"""The arguments that a checkpoint is rebuilt from: JSON, label encoders and DataFrames; nothing is unpickled."""

from __future__ import annotations

import csv
import inspect
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dataset.storage.files import read_json, write_json
from problems.engine.runtime.code import carried_files
from problems.engine.runtime.errors import CheckpointError, ConfigError

ARGUMENTS = "arguments.json"


def origin(problem: object) -> dict[str, str]:
    """The name of the class that saves a checkpoint, and its file. Code is never imported from a recorded path."""
    try:
        file = inspect.getfile(type(problem))
    except (OSError, TypeError):
        file = ""
    return {"problem": type(problem).__name__, "file": file}


def check_arguments(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that a checkpoint holds as JSON; the others are label encoders and DataFrames.

    Raises:
        ConfigError: an argument is none of these three, or JSON would change it.
    """
    return {name: _as_json(name, value) for name, value in arguments.items() if _kind(value) is None}


def _kind(value: Any) -> str | None:
    if hasattr(value, "save") and hasattr(value, "load"):
        return "encoder"
    return "csv" if type(value).__name__ == "DataFrame" else None


def _as_json(name: str, value: Any) -> Any:
    try:
        plain = json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError):
        plain = None
    if plain is None and value is not None:
        raise ConfigError(
            f"the argument {name!r} ({type(value).__name__}) cannot be saved in a checkpoint: expected JSON, "
            "a label encoder with save and load, or a DataFrame"
        )
    if not has_text_keys(value):
        raise ConfigError(f"the argument {name!r} cannot be saved in a checkpoint: its keys must be text")
    return plain


def has_text_keys(value: Any) -> bool:
    """Return True if every key is text; JSON silently turns other keys into text."""
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and has_text_keys(inner) for key, inner in value.items())
    return not isinstance(value, (list, tuple)) or all(has_text_keys(inner) for inner in value)


def save_arguments(folder: Path, arguments: Mapping[str, Any]) -> None:
    """Write each argument as JSON, as a label encoder's own files or as a CSV.

    Raises:
        ConfigError: as :func:`check_arguments`.
    """
    plain, kinds = check_arguments(arguments), {}
    for name, value in arguments.items():
        if name in plain:
            continue
        kinds[name] = _kind(value)
        if kinds[name] == "encoder":
            (folder / name).mkdir(parents=True, exist_ok=True)
            value.save(folder / name)
        else:
            # every cell quoted: an empty cell alone would be a blank line, a bare carriage return a line's end
            value.astype(str).to_csv(folder / f"{name}.csv", index=False, quoting=csv.QUOTE_ALL, lineterminator="\n")
    write_json(folder / ARGUMENTS, {"values": plain, "files": kinds})


def load_arguments(folder: Path, load_encoder: Callable[[str], Any]) -> dict[str, Any]:
    """Read what :func:`save_arguments` wrote.

    Args:
        load_encoder: from a label encoder's folder to the encoder.

    Raises:
        CheckpointError: the folder is not part of a checkpoint.
    """
    try:
        saved = read_json(folder / ARGUMENTS)
    except (FileNotFoundError, ValueError) as error:
        raise CheckpointError(f"{folder} is not part of a checkpoint: {error}") from error
    arguments = dict(carried_files.resolved(saved["values"], folder.parent))
    for name, kind in saved["files"].items():
        if kind == "csv":
            import pandas

            arguments[name] = pandas.read_csv(folder / f"{name}.csv", dtype=str, keep_default_na=False)
        else:
            arguments[name] = load_encoder(str(folder / name))
    return arguments
