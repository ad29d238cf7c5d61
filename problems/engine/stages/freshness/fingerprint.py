"""Fingerprints: what decides a stage's outcome, and what differs between two of them."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from types import CodeType
from typing import Any

from dataset.storage.files import read_json, sha256, write_json
from problems.engine.runtime.code.module_sources import source_digests

Fingerprint = dict[str, Any]
"""``{"class": name, "code": {name: digest}, "config": sections, "inputs": {path: digest}}``, as plain JSON."""

PART = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
"""A class that a config names, as ``module:Class``."""

BEGUN = "fingerprint.json"
"""The fingerprint with which a training or a result was begun, in its folder."""

MISSING = "missing"
"""Stands for the digest of a file that does not exist."""


def fingerprint(
    problem: Any, code: Iterable[str], settings: Mapping[str, Any], inputs: Mapping[str, str]
) -> Fingerprint:
    """Everything that decides the outcome of a stage.

    Args:
        code: the attributes of the problem whose source counts if a user wrote it.
        settings: the config sections that count.
        inputs: digests of the files that are read, by path.
    """
    names = list(code)
    digests = overridden_code(problem, names) | part_code([settings, *(getattr(problem, name, None) for name in names)])
    kind = type(problem).__qualname__
    return json.loads(json.dumps({"class": kind, "code": digests, "config": dict(settings), "inputs": dict(inputs)}))


def write_begun(folder: Path, fingerprint: Fingerprint) -> None:
    """Write the fingerprint with which a training or a result is begun into its folder."""
    write_json(folder / BEGUN, fingerprint)


def read_begun(folder: Path) -> Fingerprint | None:
    """The fingerprint with which the training or the result in a folder was begun; None if there is none to read."""
    try:
        return read_json(folder / BEGUN)
    except (FileNotFoundError, ValueError):
        return None


def hash_files(paths: Iterable[Path], root: Path) -> dict[str, str]:
    """``{path: sha256}``, relative to ``root`` if the file is inside it; :data:`MISSING` if it does not exist.

    Of a folder, the names of the files in it and below count, not their content.
    """
    return {name_of(path, root): _digest(path) for path in paths}


def name_of(path: Path, root: Path) -> str:
    """The name of an input or output in a fingerprint."""
    prefix, text = os.path.join(root, ""), str(path)
    return text.removeprefix(prefix).replace(os.sep, "/") if text.startswith(prefix) else text


def _digest(path: Path) -> str:
    if os.path.isfile(path):
        return sha256(path)
    return _listing(str(path)) if os.path.isdir(path) else MISSING


def _listing(folder: str) -> str:
    names = (f"{below}\0{name}" for below, _, files in os.walk(folder) for name in files)
    relative = (name.removeprefix(folder) for name in names)
    return hashlib.sha256("\n".join(sorted(relative)).encode("utf-8", "surrogateescape")).hexdigest()


def overridden_code(problem: Any, names: Iterable[str]) -> dict[str, str]:
    """A digest of the source of each method or class that comes from outside this package."""
    digests = {}
    for name in names:
        sources = [source for code in _code_of(problem, name) if (source := _source(code))]
        if sources:
            digests[name] = hashlib.sha256("\n".join(sources).encode()).hexdigest()
    return digests


def _code_of(problem: Any, name: str) -> list[Any]:
    """The functions and classes behind an attribute of a problem."""
    value = getattr(type(problem), name, None)
    if callable(value):
        return [inspect.unwrap(value)]
    value = getattr(problem, name, None)
    return [type(part) for part in value] if isinstance(value, (list, tuple)) else []


def _source(code: Any) -> str:
    """The source of a user's function or class; nothing for one of ours."""
    package = __name__.partition(".")[0]
    if getattr(code, "__module__", package).partition(".")[0] == package:
        return ""
    try:
        return inspect.getsource(code)
    except (OSError, TypeError):  # typed into an interpreter: it has no file
        functions = [code] if hasattr(code, "__code__") else [f for f in vars(code).values() if hasattr(f, "__code__")]
        return "\n".join([code.__qualname__, *(_compiled(function.__code__) for function in functions)])


def _compiled(code: CodeType) -> str:
    """The operations, names and constants of a function, without memory addresses."""
    constants = (_compiled(c) if isinstance(c, CodeType) else repr(c) for c in code.co_consts)
    return " ".join([code.co_code.hex(), *code.co_names, *constants])


def part_code(values: Any) -> dict[str, str]:
    """A digest for each ``module:Class`` in nested settings: of its module and the user modules that it imports."""
    digests = {}
    for part in sorted({text for text in _strings(values) if PART.fullmatch(text)}):
        sources = source_digests([part.partition(":")[0]])
        if sources:
            digests[part] = hashlib.sha256("\n".join(sources).encode()).hexdigest()
    return digests


def _strings(values: Any) -> Iterator[str]:
    if isinstance(values, str):
        yield values
    elif isinstance(values, (Mapping, list, tuple)):
        for value in values.values() if isinstance(values, Mapping) else values:
            yield from _strings(value)


def differences(old: Fingerprint, new: Fingerprint, ignore: Collection[str] = ()) -> list[str]:
    """A line for each difference between two fingerprints, with the old and the new value.

    A key that did not exist and is null now is not a difference: a setting of a newer version that is off.
    """
    lines = [] if old["class"] == new["class"] else [f"class: {old['class']} -> {new['class']}"]
    before, after = flatten(old["config"]), flatten(new["config"])
    for key in sorted(before.keys() | after.keys()):
        if before.get(key) != after.get(key) and not _is_ignored(key, ignore):
            lines.append(f"{key}: {_shown(before, key)} -> {_shown(after, key)}")
    lines += [f"the code of {name} changed" for name in _different(old["code"], new["code"])]
    inputs = old["inputs"], new["inputs"]
    return lines + [f"{path} {_what_happened(path, *inputs)}" for path in _different(*inputs)]


def _is_ignored(key: str, ignore: Collection[str]) -> bool:
    """True if a dotted key, or a part above it, is ignored."""
    parts = key.split(".")
    return any(".".join(parts[:length]) in ignore for length in range(1, len(parts) + 1))


def _different(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    return sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))


def _shown(settings: Mapping[str, Any], key: str) -> str:
    return json.dumps(settings[key], ensure_ascii=False) if key in settings else "(not there)"


def _what_happened(path: str, old: Mapping[str, str], new: Mapping[str, str]) -> str:
    if path not in new:
        return "is no longer read"
    if new[path] == MISSING:
        return "is missing"
    return "changed" if path in old else "is new"


def flatten(tree: Any, prefix: str = "") -> dict[str, Any]:
    """A nested dict as dotted keys; an empty dict is a value."""
    if not isinstance(tree, Mapping) or not tree:
        return {prefix.rstrip("."): tree}
    return {k: v for key, value in tree.items() for k, v in flatten(value, f"{prefix}{key}.").items()}
