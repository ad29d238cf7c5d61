"""Whether a value is what a setting takes, by the type written in the source."""

from __future__ import annotations

import ast
import math
import os
from typing import Any

_SCALARS = {"bool": bool, "str": str}
_LISTS = ("list", "tuple", "Sequence")
_DICTS = ("dict", "Mapping")
_NAMES = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "text",
    "None": "null",
    "dict": "keys and values",
    "Mapping": "keys and values",
    "list": "a list",
    "tuple": "a list",
}


def _alternatives(annotation: str) -> list[ast.expr]:
    node = ast.parse(annotation, mode="eval").body
    parts = []
    while isinstance(node, ast.BinOp):
        parts.append(node.right)
        node = node.left
    return [node, *reversed(parts)]


def _split(node: ast.expr) -> list[ast.expr]:
    return _alternatives(ast.unparse(node))


def _inner(node: ast.Subscript) -> list[ast.expr]:
    return node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]


def _name(node: ast.expr) -> str:
    return ast.unparse(node.value if isinstance(node, ast.Subscript) else node).rpartition(".")[2]


def _matches(value: Any, node: ast.expr) -> bool:
    if isinstance(node, ast.Constant):
        return value is None if node.value is None else value == node.value
    name = _name(node)
    if isinstance(node, ast.Subscript) and name == "Literal":
        return any(_matches(value, n) for n in _inner(node))
    if name in _LISTS:
        inner = _split(_inner(node)[0]) if isinstance(node, ast.Subscript) else None
        return isinstance(value, list) and (inner is None or all(any(_matches(v, n) for n in inner) for v in value))
    if name in _DICTS:
        return isinstance(value, dict)
    if name in ("int", "float"):
        return isinstance(value, (int, float) if name == "float" else int) and not isinstance(value, bool)
    return isinstance(value, _SCALARS[name]) if name in _SCALARS else True


def _spoken(node: ast.expr) -> str:
    name = _name(node)
    if isinstance(node, ast.Subscript) and name == "Literal":
        return " or ".join(ast.unparse(n) for n in _inner(node))
    if isinstance(node, ast.Subscript) and name in _LISTS:
        one = " or ".join(_spoken(n) for n in _split(_inner(node)[0]))
        return f"a list (each: {one})"
    return _NAMES.get(name, ast.unparse(node))


def _whole(value: Any, names: set[str]) -> Any:
    """1e4 as 10000 where a whole number is wanted."""
    whole = isinstance(value, float) and value.is_integer() and "int" in names and "float" not in names
    return int(value) if whole else value


def _as_typed(value: Any, text: str, names: set[str]) -> Any:
    """The text of the command line for a setting that takes text: 0012, a #1, no. Quotes around it are YAML's."""
    if (value is None and "None" in names) or "${" in text or text[:1] in ("'", '"'):
        return value
    return text if isinstance(value, str) or not names - {"str", "None"} else value


def accepted(value: Any, setting: Any, text: str | None = None) -> Any:
    """``value`` as the setting takes it.

    Args:
        value: what the YAML said.
        setting: with ``type`` (an annotation as written), ``min``, ``max`` and ``choices``.
        text: the value as typed, where it came from the command line: text stays text ("0012").

    Raises:
        ValueError: the value is of another type, out of bounds or not among the choices; says what is expected.
    """
    nodes = _alternatives(setting.type)
    names = {ast.unparse(n) for n in nodes}
    if isinstance(value, (os.PathLike, tuple)):  # from code, not from YAML
        value = list(value) if isinstance(value, tuple) else os.fspath(value)
    value = _whole(value, names)
    if value is False and "off" in (setting.choices or ()):  # YAML's word for no
        value = "off"
    if text is not None and "str" in names:
        value = _as_typed(value, text, names)
    if not any(_matches(value, n) for n in nodes):
        if text is not None and "str" in names and not isinstance(value, (list, dict)):
            value = text
        else:
            raise ValueError(f"expected {' or '.join(_spoken(n) for n in nodes)}, got {value!r}")
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"expected a finite number, got {value!r}")
        if "float" in names and "int" not in names:
            value = float(value)
        if setting.min is not None and value < setting.min:
            raise ValueError(f"must be at least {setting.min}, got {value}")
        if setting.max is not None and value > setting.max:
            raise ValueError(f"must be at most {setting.max}, got {value}")
    if setting.choices and value is not None and value not in setting.choices:
        raise ValueError(f"expected one of {', '.join(setting.choices)}, got {value!r}")
    return value
