"""Parts that a config names: their settings, read from source without an import, and how they are built.

A registry maps a short name to ``"module:Class"``; a user's own class is named by that path. Names, defaults and help
lines are read with :mod:`ast`, so that ``--help`` and the checks of a config import no torch. Arguments without a
default (``input_size``, ...) are passed by the builder; those with one are settings of the config.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import re
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from dataset.wording import nearest
from problems.engine.runtime.errors import ConfigError


@dataclasses.dataclass(frozen=True)
class Parameter:
    """An argument that a config may set; ``type`` is its annotation as written."""

    name: str
    default: Any
    type: str
    help: str


def resolve(name: str, registry: Mapping[str, str], section: str) -> str:
    """The ``"module:Class"`` of a registered name, or of a user's own path.

    Raises:
        ConfigError: the name is unknown.
    """
    if isinstance(name, str) and name in registry:
        return registry[name]
    if isinstance(name, str) and ":" in name:
        return name
    raise ConfigError(
        f"{section}: unknown name {name!r}{nearest(str(name), registry)};"
        f" expected one of {', '.join(registry)}, or module:Class"
    )


def _missing(target: str, module: str) -> str:
    """The message about a module that is not there."""
    file = f"{module.replace('.', '/')}.py"
    return (
        f"{target}: no module {module!r} on the Python path: run from the folder that has {file}, or add that folder to"
        " PYTHONPATH"
    )


@functools.cache
def _class_node(target: str) -> tuple[ast.ClassDef | ast.FunctionDef, ast.Module]:
    module, _, name = target.partition(":")
    try:
        spec = find_spec(module)
    except (ImportError, ValueError):
        spec = None
    if spec is None or not spec.origin:
        raise ConfigError(_missing(target, module))
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and node.name == name:
            return node, tree
    raise ConfigError(f"{target}: {spec.origin} defines no {name!r}")


def _documented(docstring: str) -> dict[str, str]:
    """``{argument: help line}`` from the ``Args:`` block of a docstring."""
    block = re.search(r"^( *)Args:\n(.*?)(?:\n\s*\n|\Z)", docstring or "", re.S | re.M)
    if not block:
        return {}
    lines: dict[str, str] = {}
    names: list[str] = []
    for line in block.group(2).splitlines():
        deeper = len(line) - len(line.lstrip()) - len(block.group(1)) > 4
        entry = None if deeper else re.match(r"\s+(\w+(?:, \w+)*)(?: \([^)]*\))?: (.+)", line)
        if entry:
            names = entry.group(1).split(", ")
            lines |= dict.fromkeys(names, entry.group(2))
        else:
            lines |= {name: f"{lines[name]} {line.strip()}" for name in names}
    return {name: text.replace("``", "").strip().rstrip(".") for name, text in lines.items()}


def _base(node: ast.ClassDef, tree: ast.Module, module: str) -> str | None:
    """The ``"module:Class"`` of the first base that the file defines or imports by name."""
    local = {n.name: module for n in tree.body if isinstance(n, ast.ClassDef)}
    imported = {
        (alias.asname or alias.name): (n.module, alias.name)
        for n in tree.body
        if isinstance(n, ast.ImportFrom) and n.module and not n.level
        for alias in n.names
    }
    for base in node.bases:
        if isinstance(base, ast.Name) and base.id in local:
            return f"{module}:{base.id}"
        if isinstance(base, ast.Name) and base.id in imported:
            return ":".join(imported[base.id])
    return None


def _parameters(function: ast.FunctionDef, help_lines: Mapping[str, str]) -> list[Parameter]:
    arguments = function.args
    positional = arguments.posonlyargs + arguments.args
    pairs = list(zip(positional[len(positional) - len(arguments.defaults) :], arguments.defaults))
    pairs += [(a, d) for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults) if d is not None]
    parameters = []
    for argument, default in pairs:
        try:
            value = ast.literal_eval(default)
        except ValueError:
            value = None
        value = list(value) if isinstance(value, tuple) else value
        annotation = "Any" if argument.annotation is None else ast.unparse(argument.annotation)
        if isinstance(argument.annotation, ast.Constant) and isinstance(argument.annotation.value, str):
            annotation = argument.annotation.value
        if value is None and not isinstance(default, ast.Constant):
            annotation = "Any"  # the default is known only when the module runs
        parameters.append(Parameter(argument.arg, value, annotation, help_lines.get(argument.arg, "")))
    return parameters


def describe(target: str) -> list[Parameter]:
    """The arguments with defaults of the class or function ``"module:Class"``, without importing it.

    A class without ``__init__`` has the arguments of its base; one that takes ``**kwargs`` has them beside its own.
    """
    node, tree = _class_node(target)
    if not isinstance(node, ast.ClassDef):
        return _parameters(node, _documented(ast.get_docstring(node, clean=False) or ""))
    functions = {n.name: n for n in node.body if isinstance(n, ast.FunctionDef)}
    # a label encoder is built by its classmethod ``build``
    constructor = next((functions[name] for name in ("build", "__init__") if name in functions), None)
    inherited: list[Parameter] = []
    if constructor is None or constructor.args.kwarg is not None:
        base = _base(node, tree, target.partition(":")[0])
        inherited = describe(base) if base else []
    if constructor is None:
        return inherited
    docs = [ast.get_docstring(n, clean=False) or "" for n in (node, constructor)]
    parameters = _parameters(constructor, {k: v for doc in docs for k, v in _documented(doc).items()})
    names = {a.arg for a in constructor.args.posonlyargs + constructor.args.args + constructor.args.kwonlyargs}
    return parameters + [p for p in inherited if p.name not in names]


def load_class(target: str | type) -> Any:
    """Import ``"module:Class"``; a class is returned as it is.

    Raises:
        ConfigError: the module does not exist, or has nothing of that name.
    """
    if isinstance(target, type):
        return target
    module, _, name = target.partition(":")
    try:
        return getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise  # the module exists, but one that it imports does not
        raise ConfigError(_missing(target, module)) from error
    except AttributeError as error:
        if name in str(error):
            raise ConfigError(f"{target}: the module {module} has no {name!r}") from error
        raise


def build(target: str, conf: Mapping[str, Any] | None, section: str, **supplied: Any) -> Any:
    """Build the class ``target`` with the builder's arguments ``supplied`` and the config's ``conf``.

    Raises:
        ConfigError: the class refuses a value; the message names the section and the class.
    """
    cls = load_class(target)
    try:
        return cls(**supplied, **(conf or {}))
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{section}: invalid settings of {cls.__name__}: {error}") from error
