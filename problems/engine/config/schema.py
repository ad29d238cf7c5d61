"""The keys that a config may have: from sections, from the parts that it names, and from a subclass's own defaults."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple, Protocol

from dataset.setting import REQUIRED
from problems.engine.config.registry import describe, load_class, resolve
from problems.engine.config.sections import Run
from problems.engine.runtime.errors import ConfigError
from problems.engine.runtime.overrides import is_overridden

Tree = dict[str, Any]


class Configurable(Protocol):
    """A problem, as far as its config is concerned."""

    summary: str
    run_section: type
    sections: dict[str, type]

    def default_config(self) -> Tree:
        """Every key with its default."""

    @classmethod
    def families(cls) -> list[str]:
        """The folders of its presets."""


@dataclasses.dataclass(frozen=True)
class Setting:
    """One key of a config.

    Args:
        type: its annotation as written.
        registry: the registry that its value names an entry of.
        heading: printed above it by ``--help``.
        open: True for a dict whose keys are not checked here.
    """

    type: str
    default: Any
    help: str = ""
    min: float | None = None
    max: float | None = None
    choices: tuple[str, ...] | None = None
    registry: str | None = None
    heading: str | None = None
    open: bool = False


class Chooser(NamedTuple):
    """The key of a section that names a part, the part's registry, and whether its settings are in ``conf``."""

    key: str
    registry: str
    nested: bool


def fields_of(section: Any) -> Iterator[tuple[dataclasses.Field, Any]]:
    """Each field of a section's class with its default."""
    instance = section() if isinstance(section, type) else section
    for field in dataclasses.fields(section):
        yield field, getattr(instance, field.name, REQUIRED)


def _class_of(section: Any) -> type:
    return section if isinstance(section, type) else type(section)


def chooser_of(section: Any) -> Chooser | None:
    """The chooser of a section, a class or an instance; None if it names no part."""
    names = {field.name for field in dataclasses.fields(section)}
    for field in dataclasses.fields(section):
        if field.metadata.get("registry"):
            return Chooser(field.name, field.metadata["registry"], "conf" in names)
    return None


def part_settings(registry: str, name: str, section: str) -> dict[str, Setting]:
    """The settings of the part called ``name``."""
    target = resolve(name, load_class(registry), section)
    if registry.startswith("dataset.corpora"):  # light modules, whose dataclasses hold bounds too
        corpus = load_class(target)
        if not dataclasses.is_dataclass(corpus):
            raise ConfigError(f"{section}: {target} is not a corpus; expected a dataclass, as in dataset.corpora")
        return {field.name: _setting(field, default) for field, default in fields_of(corpus)}
    return {p.name: Setting(p.type, p.default, p.help) for p in describe(target)}


def chosen_settings(problem: Configurable, registry: str, name: str, key: str) -> dict[str, Setting] | None:
    """The settings of the part that ``key`` of a problem's config names.

    None for an unknown name if the problem overrides the method that reads the section: that method may know it.
    """
    try:
        return part_settings(registry, name, key)
    except ConfigError:
        if is_overridden(problem, key.partition(".")[0]):
            return None
        raise


def section_defaults(section: Any) -> Tree:
    """A section, a class or an instance, as a dict, with the settings of the part that it names."""
    tree = {f.name: section_defaults(d) if dataclasses.is_dataclass(d) else d for f, d in fields_of(section)}
    chooser = chooser_of(section)
    if chooser:
        settings = part_settings(chooser.registry, tree[chooser.key], _class_of(section).__name__)
        part = {name: setting.default for name, setting in settings.items()}
        tree = {**tree, "conf": {**part, **tree["conf"]}} if chooser.nested else {**tree, **part}
    return copy.deepcopy(tree)


def resume_keys(problem: Configurable, resume: Literal["free", "extends", "starts"]) -> set[str]:
    """The dotted keys declared with that ``resume``: those that may change under an existing training."""
    keys = [(field.name, field) for field in dataclasses.fields(Run)]
    for name, section in problem.sections.items():
        keys += [(f"{name}.{field.name}", field) for field in dataclasses.fields(section)]
    return {key for key, field in keys if field.metadata.get("resume") == resume}


def test_time_keys(problem: Configurable, section: str) -> list[str]:
    """The keys of a section with which a trained model may be tested anew; all keys below them are too."""
    fields = dataclasses.fields(problem.sections[section])
    return [field.name for field in fields if field.metadata.get("test_time")]


def free_keys(problem: Configurable, config: Mapping[str, Any]) -> set[str]:
    """The dotted keys that do not make what was done with another value stale."""
    unset = {
        key for key in resume_keys(problem, "starts") if values_of(config, "train").get(key.partition(".")[2]) is None
    }
    return resume_keys(problem, "free") | unset


def values_of(tree: Mapping[str, Any], section: str) -> Mapping[str, Any]:
    """The keys and values of a section; none if the tree has something else in its place."""
    values = tree.get(section)
    return values if isinstance(values, Mapping) else {}


def defaults(problem: Configurable) -> Tree:
    """``problem.default_config()``, completed by the settings of the parts that a subclass names there."""
    tree = copy.deepcopy(problem.default_config())
    for name, section in problem.sections.items():
        chooser, values = chooser_of(section), values_of(tree, name)
        if not chooser or chooser.key not in values:
            continue
        declared = section_defaults(section)
        if values[chooser.key] == declared[chooser.key]:
            continue
        conf = values.setdefault("conf", {}) if chooser.nested else values
        declared_conf = declared["conf"] if chooser.nested else declared
        settings = chosen_settings(problem, chooser.registry, values[chooser.key], f"{name}.{chooser.key}") or {}
        for key in part_settings(chooser.registry, declared[chooser.key], name):
            if key not in settings and conf.get(key) == declared_conf.get(key):
                conf.pop(key, None)
        conf.update({key: setting.default for key, setting in settings.items() if key not in conf})
    return tree


def schema(problem: Configurable, tree: Tree) -> dict[str, Setting]:
    """Every key that a config of ``problem`` may have, given the parts that ``tree`` names."""
    default = defaults(problem)
    settings = _declared(problem, "", problem.run_section, tree)
    for name, section in problem.sections.items():
        if set(values_of(default, name)) >= {field.name for field in dataclasses.fields(section)}:
            settings |= _declared(problem, f"{name}.", section, values_of(tree, name))
    settings |= _inferred("", follow_choices(problem, default, tree), settings)
    return {key: setting for key, setting in settings.items() if key not in problem.sections}


def follow_choices(problem: Configurable, tree: Tree, layer: Mapping[str, Any]) -> Tree:
    """Replace, in ``tree``, the settings of every part for which ``layer`` names another."""
    for name, section in problem.sections.items():
        values, new_values = values_of(tree, name), values_of(layer, name)
        _follow_inner_choices(problem, name, values, new_values)
        chooser = chooser_of(section)
        key = chooser.key if chooser else "name"
        choice = new_values.get(key, values.get(key))
        if key not in values or choice == values[key]:
            continue
        if chooser:
            part = chosen_settings(problem, chooser.registry, choice, f"{name}.{key}") or {}
            conf = {k: setting.default for k, setting in part.items()}
        elif {"name", "conf"} <= {field.name for field in dataclasses.fields(section)}:
            conf = section_defaults(section).get(
                "conf", {}
            )  # of a torch class, which is not read before torch is loaded
        else:
            continue
        if chooser and not chooser.nested:
            for old in chosen_settings(problem, chooser.registry, values[key], f"{name}.{key}") or ():
                values.pop(old, None)
            values.update(copy.deepcopy(conf))
        else:
            values["conf"] = copy.deepcopy(conf)
        values[key] = choice
    return tree


def _follow_inner_choices(
    problem: Configurable, name: str, values: Mapping[str, Any], new_values: Mapping[str, Any]
) -> None:
    """Replace the ``conf`` of each part inside a section, such as the sampler of a mode, for which another is named."""
    for field, default in fields_of(problem.sections[name]):
        chooser = chooser_of(default) if dataclasses.is_dataclass(default) else None
        inner, new_inner = values_of(values, field.name), values_of(new_values, field.name)
        if not chooser or chooser.key not in inner or chooser.key not in new_inner:
            continue
        choice = new_inner[chooser.key]
        if choice != inner[chooser.key]:
            part = chosen_settings(problem, chooser.registry, choice, f"{name}.{field.name}.{chooser.key}") or {}
            inner.update({chooser.key: choice, "conf": {key: setting.default for key, setting in part.items()}})


def _setting(field: dataclasses.Field, default: Any) -> Setting:
    declared = {key: field.metadata.get(key) for key in ("min", "max", "choices", "registry", "heading")}
    annotation = field.type.__name__ if type(field.type) is type else str(field.type)
    return Setting(annotation, default, field.metadata.get("help", ""), open="dict" in annotation, **declared)


def _declared(problem: Configurable, prefix: str, section: Any, tree: Mapping[str, Any]) -> dict[str, Setting]:
    """The settings of a section's fields, and of the part that ``tree`` names."""
    settings: dict[str, Setting] = {}
    for field, default in fields_of(section):
        path = f"{prefix}{field.name}"
        if dataclasses.is_dataclass(default):
            settings |= _declared(problem, f"{path}.", default, values_of(tree, field.name))
        else:
            settings[path] = _setting(field, default)
    chooser = chooser_of(section)
    if chooser and chooser.key in tree:
        part = chosen_settings(problem, chooser.registry, tree[chooser.key], f"{prefix}{chooser.key}")
        if part is None:
            return settings
        if chooser.nested:
            settings[f"{prefix}conf"] = dataclasses.replace(settings[f"{prefix}conf"], open=False)
        settings |= {f"{prefix}{'conf.' if chooser.nested else ''}{name}": setting for name, setting in part.items()}
    return settings


def _inferred(prefix: str, tree: Mapping[str, Any], declared: Mapping[str, Setting]) -> dict[str, Setting]:
    """Settings for the keys that a subclass adds to ``default_config()``, typed by their defaults."""
    settings: dict[str, Setting] = {}
    for key, default in tree.items():
        path = f"{prefix}{key}"
        has_keys = any(k.startswith(f"{path}.") for k in declared)
        if path in declared or has_keys:
            if isinstance(default, Mapping) and not (path in declared and declared[path].open):
                settings |= _inferred(f"{path}.", default, declared)
        elif isinstance(default, Mapping) and default:
            settings |= _inferred(f"{path}.", default, declared)
        else:
            annotation = "Any" if default is None or default == REQUIRED else type(default).__name__
            settings[path] = Setting(annotation, default, open=isinstance(default, Mapping))
    return settings
