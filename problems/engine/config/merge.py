"""Merge the layers of a config onto a problem's defaults, and check the result.

A layer that names another part (``build_upstream.name``, ``prepare_data.corpus``) replaces the settings of the previous
part. All errors of a config are collected before the first is raised.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dataset.setting import REQUIRED
from dataset.wording import nearest
from problems.engine.config.layers import Layer
from problems.engine.config.schema import (
    Configurable,
    Setting,
    Tree,
    chooser_of,
    chosen_settings,
    defaults,
    follow_choices,
    schema,
    values_of,
)
from problems.engine.config.types import accepted
from problems.engine.runtime.errors import ConfigError


def merge(problem: Configurable, layers: Sequence[Layer], origins: dict[str, str], errors: list[str]) -> Tree:
    """The problem's defaults with ``layers`` merged onto them, unchecked.

    Args:
        origins: filled with the origin of each value that a layer sets, by dotted key.
        errors: extended by the errors about parts that do not exist.
    """
    tree = defaults(problem)
    part_errors: dict[str, str] = {}
    for layer in layers:
        sections = _with_existing_parts(problem, layer, part_errors)
        tree = follow_choices(problem, tree, sections)
        _merge(tree, sections, layer.origin, origins)
    errors += part_errors.values()
    return tree


def resolve(problem: Configurable, layers: Sequence[Layer], to_edit: bool = False) -> Tree:
    """Merge ``layers`` onto the problem's defaults and check the result.

    Args:
        to_edit: leave missing required values as ``???`` instead of refusing the config.

    Raises:
        ConfigError: with every unknown key, wrong type, value out of bounds and missing value.
    """
    origins: dict[str, str] = {}
    errors: list[str] = []
    tree = _interpolated(merge(problem, layers, origins, errors))
    texts = {key: text for layer in layers for key, text in layer.texts.items()}
    settings = schema(problem, tree)
    for path, value in list(_leaves(tree, settings)):
        try:
            _check(problem, tree, path, value, settings=settings, text=texts.get(path), to_edit=to_edit)
        except ValueError as error:
            origin = next((f" ({o})" for key, o in origins.items() if f"{path}.".startswith(f"{key}.")), "")
            errors.append(f"{path}: {error}{origin}")
    if not errors:
        errors = _section_errors(problem, tree)
    if errors:
        head = "the config is wrong" if len(errors) == 1 else f"{len(errors)} errors in the config"
        raise ConfigError(f"{head}:\n  " + "\n  ".join(errors))
    return tree


def _with_existing_parts(problem: Configurable, layer: Layer, errors: dict[str, str]) -> Tree:
    """The layer's tree without the sections that name a part that does not exist; ``errors`` has them by section."""
    tree = dict(layer.tree)
    for name, section in problem.sections.items():
        chooser, values = chooser_of(section), values_of(tree, name)
        if chooser and chooser.key in values:
            errors.pop(name, None)  # a later layer may correct an earlier one
            try:
                chosen_settings(problem, chooser.registry, values[chooser.key], f"{name}.{chooser.key}")
            except ConfigError as error:
                errors[name] = f"{error} ({layer.origin})"
                del tree[name]
    return tree


def _merge(tree: Tree, layer: Mapping[str, Any], origin: str, origins: dict[str, str], *, prefix: str = "") -> None:
    for key, value in layer.items():
        path = f"{prefix}{key}"
        if value is None and not prefix and isinstance(tree.get(key), dict):
            continue  # a section whose every line is commented out
        if isinstance(value, Mapping) and isinstance(tree.get(key), dict):
            _merge(tree[key], value, origin, origins, prefix=f"{path}.")
        else:
            tree[key] = copy.deepcopy(value)
            origins[path] = origin


def _interpolated(tree: Tree) -> Tree:
    """``tree`` with every ``${...}`` replaced by the value that it refers to."""
    if "${" not in repr(tree):
        return tree
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        return OmegaConf.to_container(OmegaConf.create(tree), resolve=True)
    except OmegaConfBaseException as error:
        key = f"{error.full_key}: " if getattr(error, "full_key", None) else ""
        raise ConfigError(f"the config is wrong:\n  {key}{str(error).splitlines()[0]}") from error


def _leaves(tree: Mapping[str, Any], settings: Mapping[str, Setting], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Each value with its dotted key."""
    for key, value in tree.items():
        path = f"{prefix}{key}"
        has_keys = any(k.startswith(f"{path}.") for k in settings)
        if isinstance(value, Mapping) and (has_keys or path not in settings) and value:
            yield from _leaves(value, settings, f"{path}.")
        elif not (isinstance(value, Mapping) and has_keys):
            yield path, value


def _check(
    problem: Configurable,
    tree: Tree,
    path: str,
    value: Any,
    *,
    settings: Mapping[str, Setting],
    text: str | None,
    to_edit: bool,
) -> None:
    """Check one value and put it into ``tree`` as its setting takes it; a ValueError says what was expected."""
    setting = settings.get(path)
    if setting is None:
        is_empty_section = path in problem.sections and value == {}
        is_open = any(path.startswith(f"{key}.") for key, other in settings.items() if other.open)
        if not is_empty_section and not is_open:
            raise ValueError(_unknown(path, value, settings))
    elif isinstance(value, str) and value == REQUIRED:
        if not to_edit:
            raise ValueError(f"must be given: {setting.help or 'it has no default'}")
    else:
        *parents, last = path.split(".")
        for parent in parents:
            tree = tree[parent]
        tree[last] = accepted(value, setting, text)


def _unknown(path: str, value: Any, settings: Mapping[str, Setting]) -> str:
    """The message about a key that does not exist, with the key that was probably meant."""
    if any(key.startswith(f"{path}.") for key in settings):
        return f"expected keys and values below it, got {value!r}"
    section, _, last = path.rpartition(".")
    namesakes = [key for key in settings if key.rpartition(".")[2] == last]
    similar = [key for key in settings if nearest(last, [key.rpartition(".")[2]])]
    is_section = any(key.startswith(f"{section}.") for key in settings)
    hint = nearest(path, namesakes) if "." in path else ""
    if namesakes and not hint:
        hint = f" (did you mean {' or '.join(map(repr, namesakes[:3]))}?)"
    hint = hint or nearest(path, similar) or ("" if is_section else nearest(section, settings))
    if not hint and "." not in path:
        hint = nearest(path, {key.rpartition(".")[2]: key for key in reversed(settings)})
    return f"unknown key{hint or '; --help lists the keys'}"


def _section_errors(problem: Configurable, tree: Tree) -> list[str]:
    """The errors between keys that are each valid alone."""
    errors: list[str] = []
    for name, section in problem.sections.items():
        is_whole = set(values_of(tree, name)) >= {field.name for field in dataclasses.fields(section)}
        if is_whole and hasattr(section, "check"):
            errors += section.check(tree[name])
    return errors
