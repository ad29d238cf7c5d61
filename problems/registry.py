"""The registry of problems: the built-in ones by name, and every class that is imported."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from problems.engine.runtime.errors import CheckpointError

if TYPE_CHECKING:
    from problems.base import Problem

NAMES = {
    "asr": "problems.asr:ASR",
    "pr": "problems.pr:PR",
    "asv": "problems.asv:ASV",
    "sid": "problems.sid:SID",
    "ks": "problems.ks:KS",
    "ic": "problems.ic:IC",
    "er": "problems.er:ER",
    "lid": "problems.lid:LID",
    "sf": "problems.sf:SF",
    "sd": "problems.sd:SD",
    "qbe": "problems.qbe:QBE",
    "sed": "problems.sed:SED",
    "regression": "problems.regression:Regression",
    "classification": "problems.classification:Classification",
    "multilabel": "problems.multilabel:MultiLabel",
}

CLASSES: dict[str, type[Problem]] = {}
"""Every problem class that is imported, by its name; checkpoints record it."""


def get(name: str) -> type[Problem]:
    """The built-in problem called ``name``."""
    if name not in NAMES:
        raise KeyError(f"unknown problem {name!r}; expected one of {', '.join(NAMES)}")
    module, _, attribute = NAMES[name].partition(":")
    return getattr(import_module(module), attribute)


def find_class(name: str) -> type[Problem]:
    """The problem class called ``name``: a built-in one, or one whose module is imported.

    Raises:
        CheckpointError: there is none.
    """
    if name not in CLASSES and name.lower() in NAMES:
        get(name.lower())
    if name not in CLASSES:
        raise CheckpointError(f"no problem class is called {name!r}: import the module that defines it")
    return CLASSES[name]
