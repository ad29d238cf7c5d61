"""Parts that a config chooses by name: what they take, read from their source, and how they are made.

A registry maps a short name to ``"module:Class"``; a user's own class is named by that path itself. Names, defaults
and meanings are read with :mod:`ast`, so that ``--help`` and the checking of a config import no torch. Arguments
without a default (``input_size``, ...) are the builder's to give; those with one are the config's.
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

from problems.engine.runtime.errors import ConfigError, nearest


@dataclasses.dataclass(frozen=True)
class Parameter:
    """One argument that a config may set. ``type`` is the annotation as written."""

    name: str
    default: Any
    type: str
    help: str


def resolve(name: str, registry: Mapping[str, str], section: str) -> str:
    """The ``"module:Class"`` of a registered name, or of a user's own path; an unknown name names the known ones."""
    if isinstance(name, str) and name in registry:
        return registry[name]
    if isinstance(name, str) and ":" in name:
        return name
    known = ", ".join(registry)
    raise ConfigError(
        f"{section}: there is no {name!r}{nearest(str(name), registry)}; there are {known}, or module:Class"
    )


@functools.cache
def _class_node(target: str) -> tuple[ast.ClassDef | ast.FunctionDef, ast.Module]:
    module, _, name = target.partition(":")
    try:
        spec = find_spec(module)
    except (ImportError, ValueError):
        spec = None
    if spec is None or not spec.origin:
        raise ConfigError(f"{target}: there is no module {module!r} on the Python path")
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and node.name == name:
            return node, tree
    raise ConfigError(f"{target}: {spec.origin} defines no {name!r}")


def _documented(docstring: str) -> dict[str, str]:
    """``{argument: its meaning as one line}`` from an ``Args:`` block."""
    block = re.search(r"^( *)Args:\n(.*?)(?:\n\s*\n|\Z)", docstring or "", re.S | re.M)
    if not block:
        return {}
    found: dict[str, str] = {}
    names: list[str] = []
    for line in block.group(2).splitlines():
        deeper = len(line) - len(line.lstrip()) - len(block.group(1)) > 4
        entry = None if deeper else re.match(r"\s+(\w+(?:, \w+)*)(?: \([^)]*\))?: (.+)", line)
        if entry:
            names = entry.group(1).split(", ")
            found |= dict.fromkeys(names, entry.group(2))
        else:
            found |= {name: f"{found[name]} {line.strip()}" for name in names}
    return {name: meaning.replace("``", "").strip().rstrip(".") for name, meaning in found.items()}


def _base(node: ast.ClassDef, tree: ast.Module, module: str) -> str | None:
    """The ``"module:Class"`` of the first base that is defined, or imported by name, in the same file."""
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


def _parameters(function: ast.FunctionDef, meanings: Mapping[str, str]) -> list[Parameter]:
    arguments = function.args
    positional = arguments.posonlyargs + arguments.args
    pairs = list(zip(positional[len(positional) - len(arguments.defaults) :], arguments.defaults))
    pairs += [(a, d) for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults) if d is not None]
    found = []
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
            annotation = "Any"  # a default that only running the module tells
        found.append(Parameter(argument.arg, value, annotation, meanings.get(argument.arg, "")))
    return found


def describe(target: str) -> list[Parameter]:
    """The arguments with defaults of the class or function ``"module:Class"``, without importing it.

    A class without ``__init__`` has those of its base; one that takes ``**kwargs`` has them beside its own.
    """
    node, tree = _class_node(target)
    if not isinstance(node, ast.ClassDef):
        return _parameters(node, _documented(ast.get_docstring(node, clean=False) or ""))
    functions = {n.name: n for n in node.body if isinstance(n, ast.FunctionDef)}
    # a label encoder is made by its classmethod ``build``, which is what a config speaks to
    made = next((functions[name] for name in ("build", "__init__") if name in functions), None)
    inherited: list[Parameter] = []
    if made is None or made.args.kwarg is not None:
        base = _base(node, tree, target.partition(":")[0])
        inherited = describe(base) if base else []
    if made is None:
        return inherited
    docs = [ast.get_docstring(n, clean=False) or "" for n in (node, made)]
    own = _parameters(made, {k: v for doc in docs for k, v in _documented(doc).items()})
    taken = {a.arg for a in made.args.posonlyargs + made.args.args + made.args.kwonlyargs}
    return own + [p for p in inherited if p.name not in taken]


def load_class(target: str | type) -> Any:
    """Import ``"module:Class"``; a class is itself.

    Raises:
        ConfigError: there is no such module, or nothing of that name in it.
    """
    if isinstance(target, type):
        return target
    module, _, name = target.partition(":")
    try:
        return getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise  # the module is there, and one that it imports is not
        raise ConfigError(f"{target}: there is no module {module!r} on the Python path") from error
    except AttributeError as error:
        if name in str(error):
            raise ConfigError(f"{target}: the module {module} has no {name!r}") from error
        raise


def build(target: str, conf: Mapping[str, Any] | None, section: str, **given: Any) -> Any:
    """Make the class ``target`` with the builder's own arguments ``given`` and the config's ``conf``.

    Raises:
        ConfigError: the class refuses a value; the message names the section and the class.
    """
    made = load_class(target)
    try:
        return made(**given, **(conf or {}))
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{section}: {made.__name__} refuses its settings: {error}") from error
