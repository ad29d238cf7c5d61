"""Problems by name, and ``load`` for a trained checkpoint; a problem is imported when it is asked for."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from problems.engine.runtime.code import shadowing
from problems.registry import NAMES, find_class, get

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike
    from pathlib import Path

    from problems.base import Problem
    from problems.engine.inference.predictor import Predictor

try:
    shadowing.check()
except ImportError as _error:
    if sys.argv[:1] != ["-m"]:  # its value while Python looks for the module of ``python -m problems.asr``
        raise
    print(f"error: {_error}", file=sys.stderr)
    sys.exit(2)


def load(
    folder: str | PathLike[str],
    problem: type[Problem] | None = None,
    device: str = "auto",
    upstream: str | None = None,
    task: Mapping[str, Any] | None = None,
) -> Predictor:
    """Load a trained model for new audio: ``problems.load("result/asr/default").predict("my.wav")``.

    Args:
        folder: a checkpoint (``.../train/step_00001000``); a target or training folder, whose best one is loaded; the
            URL of an exported folder; or a name on the Hugging Face hub, ``user/name`` or ``hf://user/name``, if there
            is no such folder here. What is downloaded is kept, and not asked for again.
        problem: the class that trained it, if it is your own.
        device: auto, cpu, cuda, ...
        upstream: the file or folder of its frozen upstream, if that has moved.
        task: keys of ``build_task`` to change: ``{"decode.name": "beam"}``; those that are free in a test.

    Raises:
        ConfigError: a key of ``task`` is not free in a test, or its value is wrong.
        CheckpointError: there is no checkpoint, it is damaged, or the class that saved it is not imported.
    """
    from problems.engine.checkpoints.find import find
    from problems.engine.checkpoints.places.fetch import fetch
    from problems.engine.inference.predictor import Predictor

    checkpoint = find(fetch(folder))
    return Predictor(checkpoint, (problem or _class_of(checkpoint))(), device, upstream, task)


def _class_of(checkpoint: Path) -> type[Problem]:
    """The class that saved a checkpoint, by its recorded name; code is never imported from a recorded path."""
    from dataset.storage.files import read_json
    from problems.engine.runtime.errors import CheckpointError

    saved = read_json(checkpoint / "model" / "problem.json")
    try:
        return find_class(saved["problem"])
    except CheckpointError:
        raise CheckpointError(
            f"{checkpoint} was trained by your own class {saved['problem']}, from {saved['file']}:"
            f" run that file, or call problems.load(..., problem={saved['problem']})"
        ) from None


__all__ = ["NAMES", "find_class", "get", "load"]
