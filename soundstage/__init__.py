"""Soundstage under one name: ``load``, and the classes of the problems, which are imported when they are asked for."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from problems import find_class, get, load
from problems.registry import NAMES

CLASSES = {
    "Problem": "problems.base:Problem",
    "Classification": "problems.classification:Classification",
    "MultiLabel": "problems.multilabel:MultiLabel",
    "Callback": "problems.engine.loops.base:Callback",
    "MAEBEncoder": "problems.benchmark.encoders:MAEBEncoder",
    "XARESEncoder": "problems.benchmark.encoders:XARESEncoder",
    **{target.partition(":")[2]: target for target in NAMES.values()},
}


def __getattr__(name: str) -> Any:
    if name not in CLASSES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = CLASSES[name].partition(":")
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted([*globals(), *CLASSES])


__all__ = ["find_class", "get", "load", *CLASSES]
