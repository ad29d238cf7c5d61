"""The file of a grid: problems with their settings, the values to vary, seeds and folds; and the runs that it means."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import problems
from dataset.wording import nearest
from problems.benchmark.runs.passes import SEED, folder_name, of_data, plain
from problems.engine.cli.arguments import resolve_config
from problems.engine.cli.commands.repeated_runs import series_of
from problems.engine.config import yaml_text
from problems.engine.config.test_settings import merged
from problems.engine.runtime.errors import ConfigError

KEYS = ("problems", "common", "over", "folds", "target_dir", "parallel")
OF_GRID = (
    "target_dir",
    "start",
    "stop",
    "fresh",
    "folds",
    "seeds",
    "nproc",
    "launcher",
    "slurm",
    "learning_curve",
    "remove_all_cache",
)
"""Keys of a run that the grid sets, or that make no sense for many runs."""
Tree = dict[str, Any]


@dataclass(frozen=True)
class GridRun:
    """One run of a grid.

    Args:
        label: of its problem in the file.
        problem: a key of the registry.
        configs: presets or files.
        tree: its settings, by section.
        varied: the values of ``over``, by dotted key.
        fold: its number; None without folds.
        pass_key: equal for runs that can train in one pass over the data.
    """

    label: str
    problem: str
    configs: tuple[str, ...]
    tree: Tree
    varied: Mapping[str, Any] = field(default_factory=dict)
    fold: int | None = None
    pass_key: str = ""

    @property
    def settings(self) -> dict[str, Any]:
        """The varied values without the seed: runs with equal ones are repetitions."""
        return {key: value for key, value in self.varied.items() if key != SEED}

    @property
    def repetition(self) -> str:
        """The seed and the fold, for people; empty if there are none."""
        seed = [f"seed {self.varied[SEED]}"] if SEED in self.varied else []
        return " ".join([*seed, *([] if self.fold is None else [f"fold {self.fold}"])])

    @property
    def folder(self) -> Path:
        """Its target folder, below that of the grid."""
        parts = [self.label, folder_name(self.varied), "" if self.fold is None else f"fold_{self.fold}"]
        return Path(*(part for part in parts if part))

    @property
    def words(self) -> tuple[str, ...]:
        """Its config and overrides."""
        sections = (f"--{key}={json.dumps(value, ensure_ascii=False)}" for key, value in self.tree.items())
        return (*(f"--config={config}" for config in self.configs), *sections)


@dataclass(frozen=True)
class Grid:
    """A grid. ``runs`` are in the order of the file."""

    path: Path
    runs: list[GridRun]
    target_dir: Path
    parallel: int


def read_grid(path: Path) -> Grid:
    """Read a grid, and check every run of it.

    Raises:
        ConfigError: a key or a value is wrong, or two runs would share a folder; names the file and the key.
    """
    tree = _load(path)
    unknown = next((key for key in tree if key not in KEYS), None)
    if unknown is not None:
        raise ConfigError(f"{path}: unknown key {unknown!r}{nearest(unknown, KEYS)}; expected {', '.join(KEYS)}")
    own = _mapping(path, tree, "problems")
    if not own:
        raise ConfigError(
            f"{path}: problems is empty; expected problems by name, as 'problems: {{ks: {{}}, ic: {{}}}}'"
        )
    common, over = _mapping(path, tree, "common"), _over(path, _mapping(path, tree, "over"))
    folds, parallel = tree.get("folds"), tree.get("parallel", 1)
    if not (folds is None or folds == "all" or _is_count(folds, 2)):
        raise ConfigError(f"{path}: folds is {folds!r}: expected all, a number from 2, or null")
    if not _is_count(parallel, 1):
        raise ConfigError(f"{path}: parallel is {parallel!r}: expected a number from 1")
    target = tree.get("target_dir", f"result/grid/{path.stem}")
    if not isinstance(target, str) or not target:
        raise ConfigError(f"{path}: target_dir is {target!r}: expected a folder")
    runs = [run for label, section in own.items() for run in _runs(path, label, section, common, over, folds)]
    _check_folders(path, runs)
    return Grid(path, runs, Path(target), parallel)


def _load(path: Path) -> Tree:
    import yaml

    try:
        tree = yaml_text.load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from error
    except OSError as error:
        raise ConfigError(f"cannot read the grid {path}: {error.strerror}") from error
    if not isinstance(tree, dict):
        raise ConfigError(
            f"{path}: expected keys and values, got {type(tree).__name__}; the keys are {', '.join(KEYS)}"
        )
    return tree


def _mapping(path: Path, tree: Tree, key: str) -> Tree:
    value = tree.get(key)
    if value is not None and not isinstance(value, dict):
        raise ConfigError(f"{path}: {key} is {value!r}: expected keys and values")
    return value or {}


def _is_count(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _over(path: Path, tree: Tree) -> dict[str, list[Any]]:
    for key, values in tree.items():
        if not isinstance(values, list) or not values:
            raise ConfigError(f"{path}: over.{key} is {values!r}: expected a list, as [0, 1, 2]")
        if any(value in values[:place] for place, value in enumerate(values)):
            raise ConfigError(f"{path}: over.{key} is {values}: one value is there twice")
    return tree


def _runs(
    path: Path, label: str, section: Any, common: Tree, over: Mapping[str, Sequence[Any]], folds: Any
) -> Iterator[GridRun]:
    """The runs of one problem of the file, checked."""
    if not isinstance(label, str) or not label or plain(label) != label or label == "logs":
        raise ConfigError(f"{path}: problems.{label}: expected a label of letters, digits, - and _, not logs")
    if section is not None and not isinstance(section, dict):
        raise ConfigError(f"{path}: problems.{label} is {section!r}: expected its settings, or nothing")
    own = dict(section or {})
    name, config = own.pop("problem", label), own.pop("config", None)
    if name not in problems.NAMES:
        hint = f"{nearest(name, problems.NAMES)}; expected one of {', '.join(problems.NAMES)}"
        raise ConfigError(f"{path}: problems.{label}: unknown problem {name!r}{hint}")
    configs = [] if config is None else config if isinstance(config, list) else [config]
    problem, base = problems.get(name)(), merged(common, own)
    for key in (*base, *over):
        if key in OF_GRID:
            raise ConfigError(f"{path}: {key} cannot be set for a run of a grid; leave it out of problems.{label}")
    for values in itertools.product(*over.values()):
        varied = dict(zip(over, values))
        tree = base
        for key, value in varied.items():
            tree = merged(tree, _nested(key, value))
        for fold, chosen in _folds(path, problem, label, tuple(map(str, configs)), tree, folds):
            run = GridRun(label, name, tuple(map(str, configs)), chosen, varied, fold)
            resolved = _resolved(path, problem, run)
            yield GridRun(**{**vars(run), "pass_key": _pass_key(name, resolved)})


def _folds(
    path: Path, problem: Any, label: str, configs: tuple[str, ...], tree: Tree, folds: Any
) -> Iterator[tuple[int | None, Tree]]:
    """The number and the settings of each fold."""
    if folds is None:
        yield None, tree
        return
    config = _resolved(path, problem, GridRun(label, "", configs, tree)) | {"folds": folds}
    try:
        series = series_of(problem, config)
    except ConfigError as error:
        raise ConfigError(f"{path}: problems.{label}: {error}") from error
    for number, own in enumerate(series.settings.values()):
        yield number, merged(tree, own)


def _resolved(path: Path, problem: Any, run: GridRun) -> Tree:
    overrides = [(key, json.dumps(value, ensure_ascii=False)) for key, value in run.tree.items()]
    try:
        return resolve_config(problem, run.configs, [*overrides, ("target_dir", "x")])
    except ConfigError as error:
        where = f"problems.{run.label}" + (f" with {run.varied}" if run.varied else "")
        raise ConfigError(f"{path}: {where}: {error}") from error


def _pass_key(name: str, resolved: Tree) -> str:
    values = {**resolved, SEED: resolved["train"]["seed"]}
    return json.dumps([name, of_data(values)], sort_keys=True, default=str)


def _nested(key: str, value: Any) -> Tree:
    for part in reversed(key.split(".")):
        value = {part: value}
    return value


def _check_folders(path: Path, runs: Sequence[GridRun]) -> None:
    by_folder: dict[Path, GridRun] = {}
    for run in runs:
        same = by_folder.setdefault(run.folder, run)
        if same is not run:
            raise ConfigError(f"{path}: {same.varied} and {run.varied} share the folder {run.folder}; leave one out")
