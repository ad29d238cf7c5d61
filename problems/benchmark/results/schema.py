"""The file of an encoder's results: its keys, and a check that names the file and the key of what is wrong."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import problems
from dataset.wording import nearest
from problems.engine.runtime.errors import ConfigError

FORMAT = "soundstage-results-1"
PROTOCOLS = ("superb", "quick", "toy")
"""The configs of ``superb``, and its ``--quick``. Only rows of ``superb`` can be compared with published ones."""
Check = Callable[[Any], str | None]
"""Returns what was expected if a value is wrong."""


def _text(value: Any) -> str | None:
    return None if isinstance(value, str) and value.strip() else "text"


def _number(value: Any) -> str | None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    return None if is_number else "a finite number"


def _interval(value: Any) -> str | None:
    is_pair = isinstance(value, list) and len(value) == 2 and not any(map(_number, value))
    return None if is_pair and value[0] <= value[1] else "[low, high]"


def _mapping(value: Any) -> str | None:
    return None if isinstance(value, dict) else "keys and values"


def _list(value: Any) -> str | None:
    return None if isinstance(value, list) and value else "a list of at least one result"


def _sha256(value: Any) -> str | None:
    is_digest = isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value)
    return None if is_digest else "64 hexadecimal digits in lower case"


def _problem(value: Any) -> str | None:
    if value in problems.NAMES:
        return None
    return f"a problem{nearest(str(value), problems.NAMES)}: {', '.join(problems.NAMES)}"


def _one_of(*values: str) -> Check:
    return lambda value: None if value in values else " or ".join(values)


def _or_null(check: Check) -> Check:
    def checked(value: Any) -> str | None:
        expected = None if value is None else check(value)
        return expected and f"{expected}, or null"

    return checked


FILE: dict[str, Check] = {
    "format": _one_of(FORMAT),
    "protocol": _one_of(*PROTOCOLS),
    "source": _text,
    "upstream": _mapping,
    "versions": _mapping,
    "results": _list,
}
UPSTREAM: dict[str, Check] = {
    "label": _text,
    "name": _or_null(_text),
    "conf": _mapping,
    "revision": _or_null(_text),
    "url": _or_null(_text),
}
RESULT: dict[str, Check] = {
    "problem": _problem,
    "metric": _text,
    "value": _number,
    "interval": _or_null(_interval),
    "test_set": _or_null(_text),
    "test_ids_sha256": _or_null(_sha256),
    "learning_rate": _or_null(_number),
    "settings": _mapping,
}


def check(row: Any, where: str) -> list[str]:
    """Everything that is wrong with the content of a file of results.

    Args:
        where: the file, for messages.
    """
    errors = _check_keys(row, FILE, where, "")
    if errors:
        return errors
    errors = _check_keys(row["upstream"], UPSTREAM, where, "upstream")
    seen: dict[tuple[str, ...], int] = {}
    for number, result in enumerate(row["results"]):
        place = f"results[{number}]"
        wrong = _check_keys(result, RESULT, where, place)
        errors += wrong
        if not wrong:
            key = tuple(str(result[name]) for name in ("problem", "metric", "test_set"))
            first = seen.setdefault(key, number)
            if first != number:
                errors.append(f"{where}: {place}: {' '.join(key)} is in results[{first}] already")
    return errors


def _check_keys(values: Any, checks: Mapping[str, Check], where: str, prefix: str) -> list[str]:
    name = f"{where}: {prefix}" if prefix else where
    if not isinstance(values, dict):
        return [f"{name}: expected keys and values, got {_shown(values)}"]
    dotted = f"{prefix}." if prefix else ""
    errors = [f"{where}: {dotted}{key} is missing" for key in checks if key not in values]
    for key, value in values.items():
        if key not in checks:
            errors.append(f"{where}: unknown key {dotted}{key}{nearest(key, checks)}; expected {', '.join(checks)}")
        elif (expected := checks[key](value)) is not None:
            errors.append(f"{where}: {dotted}{key} is {_shown(value)}: expected {expected}")
    return errors


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."


def read(path: Path) -> dict[str, Any]:
    """Read a file of results.

    Raises:
        ConfigError: with everything that is wrong with it.
    """
    try:
        row = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{path} is not JSON: {error}") from error
    errors = check(row, str(path))
    if errors:
        raise ConfigError("\n".join(errors))
    return row
