"""From defaults, presets, files and dotted overrides to one checked config.

Layers merge in that order. Where a layer names another part (``build_upstream.name``, ``prepare_data.corpus``), the
settings of the part it replaces go with it. Every error of a config is found before the first is told.
"""

from __future__ import annotations

import copy
import dataclasses
import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from dataset.setting import REQUIRED
from problems.engine.config.schema import (
    Setting,
    Tree,
    chooser_of,
    chosen_settings,
    defaults,
    fields_of,
    follow_choices,
    schema,
    section_defaults,
    values_of,
)
from problems.engine.config.types import accepted
from problems.engine.runtime.errors import ConfigError, nearest


@dataclasses.dataclass
class Layer:
    """A part of a config with the place it comes from; ``texts`` are command-line values as typed."""

    origin: str
    tree: Tree
    texts: dict[str, str] = dataclasses.field(default_factory=dict)


def _without_unknown_parts(problem: Any, layer: Layer, errors: dict[str, str]) -> Tree:
    """The layer's tree less every section that names a part that there is not; ``errors`` says so by section."""
    tree = dict(layer.tree)
    for name, section in problem.sections.items():
        chooser, given = chooser_of(section), values_of(tree, name)
        if chooser and chooser[0] in given:
            errors.pop(name, None)  # a later layer puts right what an earlier one had wrong
            try:
                chosen_settings(problem, chooser[1], given[chooser[0]], f"{name}.{chooser[0]}")
            except ConfigError as error:
                errors[name] = f"{error} ({layer.origin})"
                del tree[name]
    return tree


def _merge(tree: Tree, layer: Mapping[str, Any], origin: str, origins: dict[str, str], prefix: str = "") -> None:
    for key, value in layer.items():
        path = f"{prefix}{key}"
        if value is None and not prefix and isinstance(tree.get(key), dict):
            continue  # a section whose every line is commented out
        if isinstance(value, Mapping) and isinstance(tree.get(key), dict):
            _merge(tree[key], value, origin, origins, f"{path}.")
        else:
            tree[key] = copy.deepcopy(value)
            origins[path] = origin


def load_file(path: Path) -> Layer:
    """A YAML file as a layer."""
    import yaml
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        tree = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    except (yaml.YAMLError, OmegaConfBaseException, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not YAML that can be read: {error}") from error
    except OSError as error:
        if error.strerror is None:  # omegaconf's way to say that the file holds one scalar
            raise ConfigError(f"{path}: expected keys and values, got a single value") from error
        raise ConfigError(f"cannot read the config {path}: {error.strerror}") from error
    if not isinstance(tree, dict):
        raise ConfigError(f"{path}: expected keys and values, got {type(tree).__name__}")
    for key in tree:
        if "." in str(key):
            raise ConfigError(
                f"{path}: {key}: dots are for the command line; in a file, keys stand below their section"
            )
    return Layer(str(path), tree)


def find_config(name: str, families: Sequence[str]) -> Layer:
    """The layer of a preset's name or of a file.

    Presets stand in ``configs``: in the folders of the ``families``, the nearest first, or beside them for all.
    """
    if Path(name).suffix in (".yaml", ".yml") or "/" in name:
        return load_file(Path(name))
    root = Path(str(resources.files("configs")))
    folders = [*(root / family for family in families), root]
    for folder in folders:
        path = folder / f"{name}.yaml"
        if path.is_file():
            return dataclasses.replace(load_file(path), origin=f"preset {name}")
    presets = sorted({p.stem for folder in folders for p in folder.glob("*.yaml")})
    raise ConfigError(
        f"there is no preset {name!r}{nearest(name, presets)}; there are {', '.join(presets)}, or a .yaml file"
    )


def _scalar(text: str) -> Any:
    """What ``text`` is in YAML; text that is no YAML, and 0012 and 12:30 (numbers of base 8 and 60), are text."""
    import yaml
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        value = OmegaConf.to_container(OmegaConf.from_dotlist([f"v={text}"]), resolve=False)["v"]
    except (yaml.YAMLError, OmegaConfBaseException, ValueError):
        return text
    odd = type(value) is int and (":" in text or re.fullmatch(r"[-+]?0\d+", text.strip()))
    return text if odd else value


def override_layer(pairs: Sequence[tuple[str, str]]) -> Layer:
    """Dotted overrides as typed, ``[("train.total_steps", "100")]``; values are YAML scalars, lists or mappings."""
    layer = Layer("command line", {})
    for key, text in pairs:
        node = layer.tree
        *parents, last = key.split(".")
        for parent in parents:
            node = node.setdefault(parent, {})
            if not isinstance(node, dict):
                raise ConfigError(f"--{key}: {parent} was given a value of its own before")
        node[last] = _scalar(text)
        layer.texts = {k: t for k, t in layer.texts.items() if not k.startswith(f"{key}.")} | {key: text}
    return layer


def _leaves(tree: Mapping[str, Any], settings: Mapping[str, Setting], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        path = f"{prefix}{key}"
        inner = any(k.startswith(f"{path}.") for k in settings)
        if isinstance(value, Mapping) and (inner or path not in settings) and value:
            yield from _leaves(value, settings, f"{path}.")
        elif not (isinstance(value, Mapping) and inner):
            yield path, value


def _put(tree: Tree, path: str, value: Any) -> None:
    *parents, last = path.split(".")
    for parent in parents:
        tree = tree[parent]
    tree[last] = value


def _unknown(path: str, value: Any, settings: Mapping[str, Setting]) -> str:
    if any(k.startswith(f"{path}.") for k in settings):
        return f"{path}: expected keys and values below it, got {value!r}"
    last = path.rpartition(".")[2]
    same = [k for k in settings if k.rpartition(".")[2] == last]
    if "." in path:  # most like the one with the same section, a typo aside
        same = difflib.get_close_matches(path, same, n=1, cutoff=0.0)
    hint = f" (did you mean {' or '.join(same[:3])}?)" if same else nearest(path, settings)
    if not hint and "." not in path:
        ends = {k.rpartition(".")[2]: k for k in reversed(settings)}
        close = difflib.get_close_matches(path, ends, n=1, cutoff=0.75)
        hint = f" (did you mean {ends[close[0]]}?)" if close else ""
    return f"{path}: unknown key{hint}"


def merge(problem: Any, layers: Sequence[Layer], origins: dict[str, str], errors: list[str]) -> Tree:
    """The defaults with ``layers`` on them, unchecked; ``origins`` gets where each value is from."""
    tree, unknown_parts = defaults(problem), {}
    for layer in layers:
        known = _without_unknown_parts(problem, layer, unknown_parts)
        tree = follow_choices(problem, tree, known)
        _merge(tree, known, layer.origin, origins)
    errors += unknown_parts.values()
    return tree


def _resolved(tree: Tree) -> Tree:
    """``tree`` with every ``${...}`` replaced by what it refers to."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        return OmegaConf.to_container(OmegaConf.create(tree), resolve=True)
    except OmegaConfBaseException as error:
        key = f"{error.full_key}: " if getattr(error, "full_key", None) else ""
        raise ConfigError(f"the config is wrong:\n  {key}{str(error).splitlines()[0]}") from error


def resolve(problem: Any, layers: Sequence[Layer], to_edit: bool = False) -> Tree:
    """Merge ``layers`` onto the problem's defaults and check the result.

    Args:
        to_edit: leave values that must be given as ``???`` instead of refusing the config.

    Raises:
        ConfigError: with every unknown key, wrong type, value out of bounds and missing value.
    """
    origins: dict[str, str] = {}
    errors: list[str] = []
    tree = _resolved(merge(problem, layers, origins, errors))
    texts = {k: v for layer in layers for k, v in layer.texts.items()}
    settings = schema(problem, tree)
    open_keys = [k for k, s in settings.items() if s.open]
    for path, value in list(_leaves(tree, settings)):
        where = next((f" ({o})" for k, o in origins.items() if f"{path}.".startswith(f"{k}.")), "")
        setting = settings.get(path)
        if setting is None:
            empty = path in problem.sections and value == {}
            if not empty and not any(path.startswith(f"{k}.") for k in open_keys):
                errors.append(_unknown(path, value, settings) + where)
        elif isinstance(value, str) and value == REQUIRED:
            if to_edit:
                continue
            errors.append(f"{path}: must be given: {setting.help or 'it has no default'}")
        else:
            try:
                _put(tree, path, accepted(value, setting, texts.get(path)))
            except ValueError as error:
                errors.append(f"{path}: {error}{where}")
    for name, section in problem.sections.items():
        whole = set(values_of(tree, name)) >= {f.name for f in dataclasses.fields(section)}
        if not errors and whole and hasattr(section, "check"):
            errors += section.check(tree[name])
    if errors:
        head = "the config is wrong" if len(errors) == 1 else f"{len(errors)} errors in the config"
        raise ConfigError(f"{head}:\n  " + "\n  ".join(errors))
    return tree


__all__ = [
    "Layer",
    "Setting",
    "defaults",
    "fields_of",
    "find_config",
    "load_file",
    "merge",
    "override_layer",
    "resolve",
    "schema",
    "section_defaults",
]
