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

from problems.engine.errors import ConfigError, nearest


@dataclasses.dataclass(frozen=True)
class Parameter:
    """One argument that a config may set. ``type`` is the annotation as written."""

    name: str
    default: Any
    type: str
    help: str


def resolve(name: str, registry: Mapping[str, str], section: str) -> str:
    """The ``"module:Class"`` of a registered name, or of a user's own path; an unknown name names the known ones."""
    if name in registry:
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
    """``{argument: first line of its meaning}`` from an ``Args:`` block."""
    block = re.search(r"^ *Args:\n(.*?)(?:\n\s*\n|\Z)", docstring or "", re.S | re.M)
    lines = block.group(1).splitlines() if block else []
    found = (re.match(r"\s+(\w+(?:, \w+)*)(?: \([^)]*\))?: (.+)", line) for line in lines)
    return {name: m.group(2).rstrip(".") for m in found if m for name in m.group(1).split(", ")}


def describe(target: str) -> list[Parameter]:
    """The arguments with defaults of the class or function ``"module:Class"``, without importing it."""
    node, tree = _class_node(target)
    if isinstance(node, ast.ClassDef):
        functions = {n.name: n for n in node.body if isinstance(n, ast.FunctionDef)}
        # a label encoder is made by its classmethod ``build``, which is what a config speaks to
        inits = [functions[name] for name in ("build", "__init__") if name in functions][:1]
        docs = [ast.get_docstring(node, clean=False)] + [ast.get_docstring(n, clean=False) for n in inits]
        if not inits:
            module = target.partition(":")[0]
            local = {n.name for n in tree.body if isinstance(n, ast.ClassDef)}
            base = next((b.id for b in node.bases if isinstance(b, ast.Name) and b.id in local), None)
            return describe(f"{module}:{base}") if base else []
        function = inits[0]
    else:
        function, docs = node, [ast.get_docstring(node, clean=False)]
    meanings = {k: v for doc in docs for k, v in _documented(doc or "").items()}
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
        annotation = ast.unparse(argument.annotation) if argument.annotation else "Any"
        found.append(Parameter(argument.arg, value, annotation, meanings.get(argument.arg, "")))
    return found


def load_class(target: str) -> Any:
    """Import ``"module:Class"``."""
    module, _, name = target.partition(":")
    return getattr(import_module(module), name)


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
