"""What a frozen module computes with, as one digest: its weights, its settings and its own code."""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
import os
import re
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import numpy as np
import torch

import nn
from problems.engine.runtime.digests import digest

_BASE = vars(torch.nn.Module()).keys()  # hooks, registries of parameters and the like
_STANDARD = tuple(f"{sysconfig.get_path(name)}/" for name in ("stdlib", "platstdlib"))
_INSTALLED = {"site-packages", "dist-packages"}
_OURS = ("nn", "tasks", "dataset", "problems")
_TOLD = (slice, range, complex, re.Pattern, torch.layout, torch.memory_format)  # whose text is their value
_UPSTREAMS = ("upstream/**/*.py", "mask.py")  # in nn: all of our code that a state goes through


def digest_of(module: torch.nn.Module) -> str:
    """32 hexadecimal digits that change with anything that may change what ``module`` gives.

    That is its weights and buffers; the class and the plain attributes of each module inside it (numbers, text, arrays,
    functions, objects of settings); the files that their classes and functions are in, and those that these import,
    libraries aside; and our own upstreams. To be asked for before the module is used, since some leave things behind in
    themselves.

    Raises:
        ValueError: an attribute is of a kind whose value cannot be told.
    """
    weights = digest(dict([*module.named_parameters(), *module.named_buffers()]))
    settings = [[name, _class(part), _settings(part)] for name, part in module.named_modules()]
    kinds = {base for part in module.modules() for base in type(part).__mro__}
    codes = sorted(json.dumps(code) for kind in kinds for code in _methods(kind))
    told = json.dumps([weights, settings, codes, _ours(), _sources({kind.__module__ for kind in kinds})])
    return hashlib.blake2b(told.encode(), digest_size=16).hexdigest()


def _class(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"


def _settings(part: torch.nn.Module) -> dict[str, Any]:
    return {name: _plain(value) for name, value in sorted(vars(part).items()) if name not in _BASE}


def _plain(value: Any, depth: int = 6) -> Any:
    """A value as JSON in which equal settings are equal, whatever the process; ``depth`` ends what holds itself."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, torch.Tensor):
        return digest({"": value})
    if depth == 0 or isinstance(value, (type, torch.dtype, torch.device)):
        return getattr(value, "__qualname__", str(value) if depth else _class(value))
    inner = functools.partial(_plain, depth=depth - 1)
    if isinstance(value, bytes):
        return value.hex()
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
    if isinstance(value, _TOLD):
        return [_class(value), repr(value)]
    if hasattr(value, "__dict__"):
        return [_class(value), inner(vars(value))]
    raise ValueError(f"the upstream holds a {_class(value)}, whose value cannot be told")


def _function(function: Any, depth: int = 6) -> list[Any]:
    """A function's code with all that it was made with: defaults, what it encloses, and the object that it is of."""
    inner = functools.partial(_plain, depth=depth - 1)
    enclosed = [_cell(cell, inner) for cell in function.__closure__ or ()]
    owner = getattr(function, "__self__", None)
    owner = None if isinstance(owner, torch.nn.Module) else inner(owner)  # a module's settings are told already
    return [_code(function.__code__), inner(function.__defaults__), inner(function.__kwdefaults__), enclosed, owner]


def _cell(cell: Any, inner: Any) -> Any:
    try:
        return inner(cell.cell_contents)
    except ValueError as error:
        if "empty" in str(error):  # assigned later
            return "empty"
        raise


def _code(code: CodeType) -> list[Any]:
    """What a function does; a set among its constants is in no order that another process would have."""
    constants = [_code(c) if isinstance(c, CodeType) else _plain(c) for c in code.co_consts]
    return [code.co_code.hex(), list(code.co_names), constants]


def _methods(kind: type) -> Iterator[list[Any]]:
    """The code of a class that is no library's, which may have been made by a function or typed in."""
    module = sys.modules.get(kind.__module__)
    if kind is not object and (module is None or _is_own(module)):
        yield from (_function(method) for method in vars(kind).values() if hasattr(method, "__code__"))


def _is_own(module: ModuleType) -> bool:
    """Whether a module is the user's: no library's, and not of this project."""
    file = getattr(module, "__file__", None) or ""
    library = file.startswith(_STANDARD) or not _INSTALLED.isdisjoint(Path(file).parts)
    return bool(file) and not library and module.__name__.partition(".")[0] not in _OURS


def _sources(names: set[str]) -> list[str]:
    """The text of the user's modules with these names, and of all those of the user that they import from."""
    found: dict[str, ModuleType] = {}
    left = [sys.modules.get(name) for name in names]
    while left:
        module = left.pop()
        if module is not None and module.__name__ not in found and _is_own(module):
            found[module.__name__] = module
            values = vars(module).values()
            left += [v if inspect.ismodule(v) else sys.modules.get(str(getattr(v, "__module__", ""))) for v in values]
    return sorted(hashlib.blake2b(Path(module.__file__).read_bytes()).hexdigest() for module in found.values())


@functools.cache
def _ours() -> list[str]:
    folder = Path(nn.__file__).parent
    paths = sorted(path for pattern in _UPSTREAMS for path in folder.glob(pattern))
    return [hashlib.blake2b(path.read_bytes()).hexdigest() for path in paths]
