"""Settings of a test: what a trained model is tested with, beside what its checkpoint says."""

from __future__ import annotations

import copy
import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dataset.storage.files import read_json
from dataset.wording import nearest
from problems.engine.config.schema import Configurable, resume_keys, schema, test_time_keys
from problems.engine.config.types import accepted
from problems.engine.runtime.code import carried_files
from problems.engine.runtime.errors import ConfigError

Tree = dict[str, Any]


@dataclass
class TestSetting:
    """One way to test a model.

    Args:
        name: of its folder; None if there is only one way.
        task: keys that replace those of ``build_task`` in the checkpoint, nested.
    """

    __test__ = False  # its name is not that of a test

    name: str | None = None
    task: Tree = field(default_factory=dict)


def settings_of(problem: Configurable, config: Mapping[str, Any], *, own: bool = True) -> list[TestSetting]:
    """Every way in which this run tests its models.

    Args:
        own: True if they are of this training: keys of ``build_task`` that do not affect it are then those of the
            config, whatever they were when it was trained.

    Raises:
        ConfigError: a key is not free in a test, or a value is wrong.
    """
    evaluate = config["evaluate"]
    common = _own_task(problem, config) if own else {}
    common = merged(common, _checked(problem, config, "build_task", evaluate.get("task") or {}, "evaluate.task"))
    ways = list(_ways(evaluate.get("settings")))
    names = [name for name, _ in ways]
    if len(set(names)) < len(names):
        raise ConfigError(f"evaluate.settings: two settings have the same name: {', '.join(map(str, names))}")
    return [
        TestSetting(name, merged(common, _checked(problem, config, "build_task", tree, "evaluate.settings")))
        for name, tree in ways
    ]


def dataset_settings(problem: Configurable, config: Mapping[str, Any]) -> Tree:
    """``build_dataset`` as a test uses it."""
    section = config["evaluate"].get("dataset") or {}
    return merged(config["build_dataset"], _checked(problem, config, "build_dataset", section, "evaluate.dataset"))


def task_settings(problem: Configurable, checkpoint: Path, tree: Mapping[str, Any]) -> Tree:
    """``build_task`` of a checkpoint with the keys of ``tree``, nested or dotted.

    Raises:
        ConfigError: a key is not free in a test, or a value is wrong.
    """
    values = carried_files.resolved(read_json(checkpoint / "task" / "arguments.json")["values"], checkpoint)
    section = values.get("build_task") or {}
    config = problem.default_config()
    config["build_task"] = merged(config.get("build_task") or {}, section)
    return merged(section, _checked(problem, config, "build_task", _nested(tree), "build_task"))


def _own_task(problem: Configurable, config: Mapping[str, Any]) -> Tree:
    """The keys of ``build_task`` that are free in a test and do not affect the training."""
    free = resume_keys(problem, "free")
    section = config.get("build_task") or {}
    names = [name for name in test_time_keys(problem, "build_task") if f"build_task.{name}" in free and name in section]
    return {name: copy.deepcopy(section[name]) for name in names}


def _ways(settings: Any) -> Sequence[tuple[str | None, Tree]]:
    """Each setting's name and its keys, nested."""
    if not settings:
        return [(None, {})]
    if isinstance(settings, Mapping):
        grid = {str(key): value if isinstance(value, list) else [value] for key, value in settings.items()}
        points = itertools.product(*grid.values())
        return [(_name_of(grid, point), _nested(dict(zip(grid, point)))) for point in points]
    ways: list[tuple[str | None, Tree]] = []
    for number, entry in enumerate(settings):
        if not isinstance(entry, Mapping) or not isinstance(entry.get("name"), str):
            raise ConfigError(f"evaluate.settings[{number}]: expected {{name: ..., KEY: VALUE, ...}}, got {entry!r}")
        ways.append((_safe(entry["name"]), _nested({k: v for k, v in entry.items() if k != "name"})))
    return ways


def _name_of(grid: Mapping[str, Any], point: Sequence[Any]) -> str:
    parts = (
        f"{key.rpartition('.')[2]}={value if isinstance(value, str) else json.dumps(value)}"
        for key, value in zip(grid, point)
    )
    return _safe(",".join(parts))


def _safe(name: str) -> str:
    """A name as that of a folder."""
    return re.sub(r"[^\w.=,+-]", "_", name).strip(".") or "_"


def _nested(flat: Mapping[str, Any]) -> Tree:
    """Dotted keys as nested dicts."""
    tree: Tree = {}
    for key, value in flat.items():
        *parents, last = str(key).split(".")
        place = tree
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value
    return tree


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> Tree:
    """``base`` with the leaves of ``over``."""
    tree = copy.deepcopy(dict(base))
    for key, value in over.items():
        inner = isinstance(value, Mapping) and isinstance(tree.get(key), Mapping)
        tree[key] = merged(tree[key], value) if inner else copy.deepcopy(value)
    return tree


def _checked(
    problem: Configurable, config: Mapping[str, Any], section: str, tree: Mapping[str, Any], place: str
) -> Tree:
    """``tree`` with its values as their settings take them.

    Raises:
        ConfigError: a key does not exist, is not free in a test, or has a wrong value.
    """
    if not tree:
        return {}
    known = {key: s for key, s in schema(problem, dict(config)).items() if key.startswith(f"{section}.")}
    free = test_time_keys(problem, section)
    checked: Tree = {}
    for key, value in _leaves(tree):
        path = f"{section}.{key}"
        if path not in known:
            hint = nearest(path, known)
            raise ConfigError(f"{place}.{key}: {section} has no such key{hint}; --help lists them")
        if key.split(".")[0] not in free:
            raise ConfigError(
                f"{place}.{key}: {path} is part of the training; free in a test are"
                f" {', '.join(f'{section}.{name}' for name in free) or 'no keys of this section'}"
            )
        try:
            value = accepted(value, known[path], None)
        except ValueError as error:
            raise ConfigError(f"{place}.{key}: {error}") from error
        checked = merged(checked, _nested({key: value}))
    return checked


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Sequence[tuple[str, Any]]:
    leaves: list[tuple[str, Any]] = []
    for key, value in tree.items():
        is_inner = isinstance(value, Mapping) and value
        leaves += _leaves(value, f"{prefix}{key}.") if is_inner else [(f"{prefix}{key}", value)]
    return leaves
