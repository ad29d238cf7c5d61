"""What a frozen module computes with, as one digest: its weights, its settings and its own code."""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
from collections.abc import Iterator, Mapping
from typing import Any

import torch

from problems.engine.saving import digest

_BASE = vars(torch.nn.Module()).keys()  # hooks, registries of parameters and the like
_LIBRARIES = ("torch", "torchaudio", "transformers")


def digest_of(module: torch.nn.Module) -> str:
    """32 hexadecimal digits that change with anything that may change what ``module`` gives.

    That is its weights and buffers, the class and the plain attributes of each module inside it (numbers, text, lists
    of them, functions, objects of settings), and the source of the classes that are no library's. To be asked for
    before the module is used, since some leave things behind in themselves.
    """
    weights = digest(dict([*module.named_parameters(), *module.named_buffers()]))
    settings = [[name, _class(part), _settings(part)] for name, part in module.named_modules()]
    sources = sorted({source for part in module.modules() for source in _sources(type(part))})
    told = json.dumps([weights, settings, sources], sort_keys=True)
    return hashlib.blake2b(told.encode(), digest_size=16).hexdigest()


def _class(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"


def _settings(part: torch.nn.Module) -> dict[str, Any]:
    return {name: _plain(value) for name, value in vars(part).items() if name not in _BASE}


def _plain(value: Any, depth: int = 6) -> Any:
    """A value as JSON in which equal settings are equal, whatever the process; ``depth`` ends what holds itself."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, torch.Tensor):
        return digest({"": value})
    if depth == 0 or isinstance(value, (type, torch.dtype, torch.device)):
        return getattr(value, "__qualname__", str(value) if depth else _class(value))
    inner = functools.partial(_plain, depth=depth - 1)
    if isinstance(value, Mapping):
        return {str(k): inner(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [inner(v) for v in value]
    if isinstance(value, (set, frozenset)):
        return sorted(map(repr, value))
    if isinstance(value, functools.partial):
        return [inner(value.func), inner(value.args), inner(value.keywords)]
    if callable(getattr(value, "to_dict", None)):  # the settings of a model of transformers
        return [_class(value), inner(value.to_dict())]
    if hasattr(value, "__code__"):
        return [value.__qualname__, _code(value)]
    return [_class(value), getattr(value, "__qualname__", None), inner(getattr(value, "__dict__", {}))]


def _code(function: Any) -> str:
    return f"{function.__code__.co_code.hex()} {[c for c in function.__code__.co_consts if not inspect.iscode(c)]}"


def _sources(cls: type) -> Iterator[str]:
    """The source of a class and of those that it inherits from, libraries aside."""
    for base in cls.__mro__:
        if base is not object and base.__module__.partition(".")[0] not in _LIBRARIES:
            try:
                yield inspect.getsource(base)
            except (OSError, TypeError):  # typed into an interpreter: no file to read
                yield from (_code(method) for method in vars(base).values() if hasattr(method, "__code__"))
