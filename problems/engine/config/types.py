"""Check a value against the type that a setting is annotated with, and convert it."""

from __future__ import annotations

import ast
import math
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from problems.engine.config.schema import Setting

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


def _described(node: ast.expr) -> str:
    name = _name(node)
    if isinstance(node, ast.Subscript) and name == "Literal":
        return " or ".join(ast.unparse(n) for n in _inner(node))
    if isinstance(node, ast.Subscript) and name in _LISTS:
        item = " or ".join(_described(n) for n in _split(_inner(node)[0]))
        return f"a list (each: {item})"
    return _NAMES.get(name, ast.unparse(node))


def _as_int(value: Any, names: set[str]) -> Any:
    """1e4 as 10000 if a whole number is expected."""
    is_whole = isinstance(value, float) and value.is_integer() and "int" in names and "float" not in names
    return int(value) if is_whole else value


def _as_typed(value: Any, text: str, names: set[str]) -> Any:
    """The text as typed if the setting takes text: 0012, a #1, no. Quotes around it are YAML's."""
    if (value is None and "None" in names) or "${" in text or text[:1] in ("'", '"'):
        return value
    return text if isinstance(value, str) or not names - {"str", "None"} else value


def accepted(value: Any, setting: Setting, text: str | None = None) -> Any:
    """``value`` converted to the setting's type.

    Args:
        value: as read from YAML, or from code.
        text: the value as typed, if it comes from the command line: text stays text ("0012").

    Raises:
        ValueError: the value has another type, is out of bounds or is not among the choices; says what was expected.
    """
    nodes = _alternatives(setting.type)
    names = {ast.unparse(n) for n in nodes}
    if isinstance(value, (os.PathLike, tuple)):  # from code, not from YAML
        value = list(value) if isinstance(value, tuple) else os.fspath(value)
    value = _as_int(value, names)
    if value is False and "off" in (setting.choices or ()):  # YAML reads off as false
        value = "off"
    if text is not None and "str" in names:
        value = _as_typed(value, text, names)
    if not any(_matches(value, n) for n in nodes):
        if text is None or "str" not in names or isinstance(value, (list, dict)):
            raise ValueError(f"expected {' or '.join(_described(n) for n in nodes)}, got {value!r}")
        value = text
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        value = _in_bounds(float(value) if "float" in names and "int" not in names else value, setting)
    if setting.choices and value is not None and value not in setting.choices:
        raise ValueError(f"expected one of {', '.join(setting.choices)}, got {value!r}")
    return value


def _in_bounds(value: float, setting: Setting) -> float:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"expected a finite number, got {value!r}")
    if setting.min is not None and value < setting.min:
        raise ValueError(f"must be at least {setting.min}, got {value}")
    if setting.max is not None and value > setting.max:
        raise ValueError(f"must be at most {setting.max}, got {value}")
    return value
