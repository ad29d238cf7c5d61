"""A digest of each file that a run leaves, without times of the clock; tensors by their bytes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from problems.engine.report.history import TIMES

CLOCKS = {"seconds", "saved_at", "total_seconds", "wall", "time"}
"""Keys of files of JSON, and of the progress of a training, that hold times."""
LEFT_OUT = (
    "*.log", ".lock", "runs/*", "env.json", "stages.json", "manifest.json", "tb/*", "*.html", "*.png",
    "*.arrow",  # the CSV beside it, compiled by whoever reads it first
    "evaluate/*/*/fingerprint.json", ".predict.json",  # digests of the checkpoint, with the time that training took
)  # fmt: skip
"""Files that tell when, where and how long: messages, histories of calls, drawings of times."""


def digests(folder: Path) -> dict[str, str]:
    """A digest of everything that a run left in its folder but the cache, by name.

    +0 and -0 differ, as tensors are compared by their bytes. Of the cache, what a killed writer left counts. Runs are
    compared in one place, one after the other, as their files name it.
    """
    contents = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.suffix in (".tmp", ".old"):
            contents[str(name)] = "left by a killed writer"
        elif path.is_file() and name.parts[0] != "cache" and not _left_out(name):
            contents[str(name)] = _digest(_content(path))
    return contents


def differences(first: Mapping[str, str], second: Mapping[str, str]) -> list[str]:
    """The names of what differs between the digests of two finished runs."""
    return sorted(name for name in first.keys() | second.keys() if first.get(name) != second.get(name))


def _left_out(name: Path) -> bool:
    return any(name.match(pattern) for pattern in LEFT_OUT)


def _content(path: Path) -> Any:
    if path.suffix == ".pt":
        import torch

        return _without(torch.load(path, weights_only=True), CLOCKS)
    content = path.read_bytes()
    if path.suffix == ".jsonl":
        return [_without(json.loads(line), {*CLOCKS, *TIMES}) for line in content.splitlines()]
    return _without(json.loads(content), CLOCKS) if path.suffix == ".json" else content


def _without(value: Any, names: set[str]) -> Any:
    """A nested structure without the keys ``names``."""
    if isinstance(value, dict):
        return {key: _without(own, names) for key, own in value.items() if key not in names}
    return [_without(own, names) for own in value] if isinstance(value, (list, tuple)) else value


def _digest(value: Any) -> str:
    """A digest of a nested structure, of tensors by their bytes."""
    sha = hashlib.sha256()
    _add(value, sha.update)
    return sha.hexdigest()


def _add(part: Any, update: Callable[[bytes], None]) -> None:
    import torch

    if isinstance(part, torch.Tensor):
        array = part.detach().contiguous().cpu().reshape(-1).view(torch.uint8)
        update(str((part.dtype, tuple(part.shape))).encode() + np.asarray(array).tobytes())
    elif isinstance(part, Mapping):
        for key in sorted(part, key=repr):
            update(repr(key).encode())
            _add(part[key], update)
    elif isinstance(part, Sequence) and not isinstance(part, (str, bytes)):
        update(str(len(part)).encode())
        for item in part:
            _add(item, update)
    else:
        update(repr(part).encode())
