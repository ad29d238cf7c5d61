"""Staged speech problems by name, each imported only when it is asked for."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING

from problems.engine.runtime import shadowing

if TYPE_CHECKING:
    from pathlib import Path

    from problems.base import Problem
    from problems.engine.loops.predictor import Predictor

try:
    shadowing.check()
except ImportError as _error:
    if sys.argv[:1] != ["-m"]:  # what Python has there while it looks for the module of ``python -m problems.asr``
        raise
    print(f"error: {_error}", file=sys.stderr)
    sys.exit(2)

NAMES = {
    "asr": "problems.asr:ASR",
    "asv": "problems.asv:ASV",
    "sid": "problems.sid:SID",
    "ks": "problems.ks:KS",
    "ic": "problems.ic:IC",
    "er": "problems.er:ER",
    "lid": "problems.lid:LID",
}


def get(name: str) -> type[Problem]:
    """The class of the built-in problem called ``name``."""
    if name not in NAMES:
        raise KeyError(f"no problem is called {name!r}; there are {', '.join(NAMES)}")
    module, _, attribute = NAMES[name].partition(":")
    return getattr(import_module(module), attribute)


def load(
    folder: str, problem: type[Problem] | None = None, device: str = "auto", upstream: str | None = None
) -> Predictor:
    """A trained model, ready for new audio: ``problems.load("result/asr/default").predict("my.wav")``.

    Args:
        folder: a checkpoint (``.../train/step_00001000``), or a target or training folder, whose best one is taken.
        problem: the class that trained it, where that is your own.
        device: auto, cpu, cuda, ...
        upstream: the file or folder of its frozen upstream, if that has moved.

    Raises:
        CheckpointError: there is none, it is damaged, or it was saved by a class that is not at hand.
    """
    from pathlib import Path

    from problems.engine.checkpoints.find import find
    from problems.engine.loops.predictor import Predictor

    checkpoint = find(Path(folder))
    return Predictor(checkpoint, (problem or _class_of(checkpoint))(), device, upstream)


def _class_of(checkpoint: Path) -> type[Problem]:
    """The class that saved a checkpoint, found by the name recorded there; code is never imported from a path."""
    from dataset.files import read_json
    from problems.base import Problem
    from problems.engine.runtime.errors import CheckpointError

    saved = read_json(checkpoint / "model" / "problem.json")
    try:
        return Problem.get_class_from_name(saved["problem"])
    except CheckpointError:
        raise CheckpointError(
            f"{checkpoint} was trained by your own class {saved['problem']}, from {saved['file']}:"
            f" run that file, or give problems.load(..., problem={saved['problem']})"
        ) from None


__all__ = ["NAMES", "get", "load"]
