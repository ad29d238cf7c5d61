"""One digest of a frozen upstream: its weights, its settings and its code."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
import weakref
from collections.abc import Callable, Iterator, Mapping
from types import CellType, CodeType
from typing import Any

import numpy as np
import torch

from problems.engine.runtime.code.module_sources import is_users, source_digests
from problems.engine.runtime.digests import digest

_BASE = vars(torch.nn.Module()).keys()  # hooks, registries of parameters and the like
_PLAIN_BY_TEXT = (slice, range, complex, re.Pattern, torch.layout, torch.memory_format)  # equal text, equal value


def digest_of(module: torch.nn.Module) -> str:
    """32 hexadecimal digits that change with anything that may change the output of ``module``.

    - its weights and buffers;
    - the class and the plain attributes of each module inside it: numbers, text, arrays, functions, settings objects;
    - the source of the files that define its classes and functions, and of all that these import of ``nn`` and of the
      user's modules; libraries are left out;
    - the bytecode of the user's methods and functions. Source alone is not enough: a class may be typed into an
      interpreter, two lambdas may stand on one line, and a file may have been edited since it was imported. A Python
      of another minor version therefore has other digests for a user's upstream, and computes its features again.

    Ask for it before the module is used: some modules store what they computed last.

    Raises:
        ValueError: an attribute has a type whose value cannot be digested.
    """
    weights = digest(dict([*module.named_parameters(), *module.named_buffers()]))
    settings = [[name, _class(part), _settings(part)] for name, part in module.named_modules()]
    classes = {base for part in module.modules() for base in type(part).__mro__}
    codes = sorted(json.dumps(code) for cls in classes for code in _methods(cls))
    sources = _sources({cls.__module__ for cls in classes})
    content = json.dumps([weights, settings, codes, sources])
    return hashlib.blake2b(content.encode(), digest_size=16).hexdigest()


def _sources(modules: set[str]) -> list[str]:
    return source_digests(modules, ours=("nn",))


def _class(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"


def _settings(part: torch.nn.Module) -> dict[str, Any]:
    return {name: _as_json(value) for name, value in sorted(vars(part).items()) if name not in _BASE}


def _as_json(value: Any, depth: int = 6) -> Any:
    """A value as JSON: equal for equal settings in every process. ``depth`` bounds values that contain themselves."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, torch.Tensor):
        return digest({"": value})
    if depth == 0 or isinstance(value, (type, torch.dtype, torch.device)):
        return getattr(value, "__qualname__", str(value) if depth else _class(value))
    inner = functools.partial(_as_json, depth=depth - 1)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, weakref.ref):  # as an LSTM holds its weights
        return [_class(value), inner(value())]
    if isinstance(value, (np.ndarray, np.generic)) and not value.dtype.hasobject:
        return [value.dtype.str, value.shape, hashlib.blake2b(value.tobytes()).hexdigest()]
    if isinstance(value, Mapping):
        return {str(k): inner(v) for k, v in sorted(value.items(), key=lambda item: str(item[0]))}
    if isinstance(value, (list, tuple)):
        return [inner(v) for v in value]
    if isinstance(value, (set, frozenset)):
        return sorted(map(repr, value))
    if isinstance(value, functools.partial):
        return [inner(value.func), inner(value.args), inner(value.keywords)]
    if callable(getattr(value, "to_dict", None)):  # the settings of a model of transformers
        return [_class(value), inner(value.to_dict())]
    if hasattr(value, "__code__"):
        return [value.__qualname__, _function(value, depth), _sources({value.__module__})]
    if isinstance(getattr(value, "__name__", None), str) and callable(value):  # of a library, in C
        return [_class(value), value.__name__]
    if isinstance(value, os.PathLike):
        return [_class(value), os.fspath(value)]
    if isinstance(value, _PLAIN_BY_TEXT):
        return [_class(value), repr(value)]
    if hasattr(value, "__dict__"):
        return [_class(value), inner(vars(value))]
    raise ValueError(f"the upstream holds a {_class(value)}, which cannot be digested")


def _function(function: Any, depth: int = 6) -> list[Any]:
    """A function's code, defaults, enclosed values and, of a bound method, its object."""
    inner = functools.partial(_as_json, depth=depth - 1)
    enclosed = [_cell(cell, inner) for cell in function.__closure__ or ()]
    owner = getattr(function, "__self__", None)
    if isinstance(owner, torch.nn.Module):  # its settings are in the digest already
        owner = None
    defaults = inner(function.__defaults__), inner(function.__kwdefaults__)
    return [_code(function.__code__), *defaults, enclosed, inner(owner)]


def _cell(cell: CellType, inner: Callable[[Any], Any]) -> Any:
    """The value in a closure's cell; a cell that is assigned later is empty."""
    try:
        return inner(cell.cell_contents)
    except ValueError as error:
        if "empty" in str(error):
            return "empty"
        raise


def _code(code: CodeType) -> list[Any]:
    """Bytecode, names and constants. A set among the constants is sorted: its order differs between processes."""
    constants = [_code(c) if isinstance(c, CodeType) else _as_json(c) for c in code.co_consts]
    return [code.co_code.hex(), list(code.co_names), constants]


def _methods(cls: type) -> Iterator[list[Any]]:
    """The bytecode of a user's class, which may have no source file."""
    if cls is not object and is_users(cls.__module__):
        yield from (_function(method) for method in vars(cls).values() if hasattr(method, "__code__"))
