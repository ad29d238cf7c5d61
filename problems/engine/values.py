"""Whether a value is what a setting takes, by the type written in the source."""

from __future__ import annotations

import ast
import math
from typing import Any

_SCALARS = {"int": int, "float": float, "bool": bool, "str": str}
_NAMES = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "text",
    "None": "null",
}


def _alternatives(annotation: str) -> list[ast.expr]:
    node = ast.parse(annotation, mode="eval").body
    parts = []
    while isinstance(node, ast.BinOp):
        parts.append(node.right)
        node = node.left
    return [node, *reversed(parts)]


def _matches(value: Any, node: ast.expr) -> bool:
    if isinstance(node, ast.Constant):
        return value is None if node.value is None else value == node.value
    if isinstance(node, ast.Subscript):
        outer = ast.unparse(node.value).rpartition(".")[2]
        if outer == "Literal":
            inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
            return any(_matches(value, n) for n in inner)
        if outer in ("list", "tuple", "Sequence"):
            inner = node.slice.elts[0] if isinstance(node.slice, ast.Tuple) else node.slice
            return isinstance(value, list) and all(any(_matches(v, n) for n in _split(inner)) for v in value)
        return outer not in ("dict", "Mapping") or isinstance(value, dict)
    name = ast.unparse(node)
    if name == "int":
        return isinstance(value, int) and not isinstance(value, bool)
    if name == "float":
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if name in _SCALARS:
        return isinstance(value, _SCALARS[name])
    if name in ("list", "tuple"):
        return isinstance(value, list)
    return isinstance(value, dict) if name == "dict" else True


def _split(node: ast.expr) -> list[ast.expr]:
    return _alternatives(ast.unparse(node))


def _spoken(annotation: str) -> str:
    parts = [ast.unparse(n) for n in _alternatives(annotation)]
    return " or ".join(_NAMES.get(p, p.replace("list[", "a list of [")) for p in parts)


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
    if isinstance(value, float) and "int" in names and "float" not in names and value.is_integer():
        value = int(value)  # 1e4 steps
    if not any(_matches(value, n) for n in nodes):
        if text is not None and "str" in names and not isinstance(value, (list, dict)):
            value = text
        else:
            raise ValueError(f"expected {_spoken(setting.type)}, got {value!r}")
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
