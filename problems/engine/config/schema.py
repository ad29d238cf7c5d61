"""Which keys a config may have: from the sections' dataclasses, from the source of the parts that a config names, and
from what a subclass adds to ``default_config()``.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from dataset.setting import REQUIRED
from problems.engine.config.registry import describe, load_class, resolve
from problems.engine.runtime.errors import ConfigError
from problems.engine.runtime.overrides import is_overridden

Tree = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Setting:
    """One key: its type as written, its default, its meaning and its bounds."""

    type: str
    default: Any
    help: str = ""
    min: float | None = None
    max: float | None = None
    choices: tuple[str, ...] | None = None
    registry: str | None = None  # what a part's name is looked up in
    heading: str | None = None  # printed above it by --help
    open: bool = False  # a dict whose keys are somebody else's to check


def fields_of(section: Any) -> Iterator[tuple[dataclasses.Field, Any]]:
    """Each field of a section's class with its default."""
    made = section() if isinstance(section, type) else section
    for field in dataclasses.fields(section):
        yield field, getattr(made, field.name, REQUIRED)


def chooser_of(section: type) -> tuple[str, str, bool] | None:
    """``(key, registry, conf beside it?)`` of a section that names a part."""
    names = {f.name for f in dataclasses.fields(section)}
    for field in dataclasses.fields(section):
        if field.metadata.get("registry"):
            return field.name, field.metadata["registry"], "conf" in names
    return None


def part_settings(registry: str, name: str, section: str) -> dict[str, Setting]:
    """The settings of the part called ``name``."""
    target = resolve(name, load_class(registry), section)
    if registry.startswith("dataset.corpora"):  # light modules whose dataclasses hold bounds too
        corpus = load_class(target)
        if not dataclasses.is_dataclass(corpus):
            raise ConfigError(f"{section}: {target} is no corpus: expected a dataclass, as dataset.corpora has them")
        return {f.name: _setting(f, default) for f, default in fields_of(corpus)}
    return {p.name: Setting(p.type, p.default, p.help) for p in describe(target)}


def chosen_settings(problem: Any, registry: str, name: str, key: str) -> dict[str, Setting] | None:
    """The settings of the part that ``key`` of a problem's config names.

    None for a name that is not ours if the problem overrides the method that reads the section, which may know it.
    """
    try:
        return part_settings(registry, name, key)
    except ConfigError:
        if is_overridden(problem, key.partition(".")[0]):
            return None
        raise


def _setting(field: dataclasses.Field, default: Any) -> Setting:
    declared = {k: field.metadata.get(k) for k in ("min", "max", "choices", "registry", "heading")}
    kind = field.type.__name__ if type(field.type) is type else str(field.type)
    return Setting(kind, default, field.metadata.get("help", ""), open="dict" in kind, **declared)


def section_defaults(section: type) -> Tree:
    """A section's class as a dict, the settings of the part that it names included."""
    tree = {f.name: dataclasses.asdict(d) if dataclasses.is_dataclass(d) else d for f, d in fields_of(section)}
    chooser = chooser_of(section)
    if chooser:
        key, registry, nested = chooser
        part = {name: s.default for name, s in part_settings(registry, tree[key], section.__name__).items()}
        tree = {**tree, "conf": {**part, **tree["conf"]}} if nested else {**tree, **part}
    return copy.deepcopy(tree)


def _declared(problem: Any, prefix: str, section: Any, tree: Mapping[str, Any]) -> dict[str, Setting]:
    found: dict[str, Setting] = {}
    for field, default in fields_of(section):
        path = f"{prefix}{field.name}"
        if dataclasses.is_dataclass(default):
            found |= _declared(problem, f"{path}.", default, tree.get(field.name) or {})
        else:
            found[path] = _setting(field, default)
    chooser = chooser_of(type(section) if not isinstance(section, type) else section)
    if chooser and chooser[0] in tree:
        key, registry, nested = chooser
        part = chosen_settings(problem, registry, tree[key], f"{prefix}{key}")
        if part is None:
            return found
        if nested:
            found[f"{prefix}conf"] = dataclasses.replace(found[f"{prefix}conf"], open=False)
        found |= {f"{prefix}{'conf.' if nested else ''}{name}": setting for name, setting in part.items()}
    return found


def _inferred(prefix: str, tree: Mapping[str, Any], known: Mapping[str, Setting]) -> dict[str, Setting]:
    """Settings for the keys that a subclass added to ``default_config()``, typed by their defaults."""
    found: dict[str, Setting] = {}
    for key, default in tree.items():
        path = f"{prefix}{key}"
        if path in known or any(k.startswith(f"{path}.") for k in known):
            if isinstance(default, Mapping) and not (path in known and known[path].open):
                found |= _inferred(f"{path}.", default, known)
        elif isinstance(default, Mapping) and default:
            found |= _inferred(f"{path}.", default, known)
        else:
            kind = "Any" if default is None or default == REQUIRED else type(default).__name__
            found[path] = Setting(kind, default, open=isinstance(default, Mapping))
    return found


def resume_keys(problem: Any, resume: Literal["free", "extends"]) -> set[str]:
    """The dotted keys declared with that ``resume``: those that may change under an existing training."""
    return {
        f"{name}.{field.name}"
        for name, section in problem.sections.items()
        for field in dataclasses.fields(section)
        if field.metadata.get("resume") == resume
    }


def values_of(tree: Mapping[str, Any], section: str) -> Mapping[str, Any]:
    """The keys and values of a section; none where something else stands in its place."""
    found = tree.get(section)
    return found if isinstance(found, Mapping) else {}


def defaults(problem: Any) -> Tree:
    """``problem.default_config()``, where a subclass that names another part need not list that part's settings."""
    tree = copy.deepcopy(problem.default_config())
    for name, section in problem.sections.items():
        chooser, values = chooser_of(section), values_of(tree, name)
        if not chooser or chooser[0] not in values:
            continue
        key, registry, nested = chooser
        plain = section_defaults(section)
        if values[key] != plain[key]:
            own = values.setdefault("conf", {}) if nested else values
            new = chosen_settings(problem, registry, values[key], f"{name}.{key}") or {}
            for old in part_settings(registry, plain[key], name):
                if old not in new and own.get(old) == (plain["conf"] if nested else plain)[old]:
                    own.pop(old, None)
            own.update({k: s.default for k, s in new.items() if k not in own})
    return tree


def schema(problem: Any, tree: Tree) -> dict[str, Setting]:
    """Every key that a config of ``problem`` may have, given the parts that ``tree`` names."""
    default = defaults(problem)
    found = _declared(problem, "", problem.run_section, tree)
    for name, section in problem.sections.items():
        if set(values_of(default, name)) >= {f.name for f in dataclasses.fields(section)}:
            found |= _declared(problem, f"{name}.", section, values_of(tree, name))
    found |= _inferred("", follow_choices(problem, default, tree), found)
    return {key: setting for key, setting in found.items() if key not in problem.sections}


def follow_choices(problem: Any, tree: Tree, layer: Mapping[str, Any]) -> Tree:
    """Replace the settings of every part for which ``layer`` names another."""
    for name, section in problem.sections.items():
        values, given = values_of(tree, name), values_of(layer, name)
        chooser = chooser_of(section)
        key, registry, nested = chooser or ("name", None, True)
        wanted = given.get(key, values.get(key))
        if key not in values or wanted == values[key]:
            continue
        if registry is None and not {"name", "conf"} <= {f.name for f in dataclasses.fields(section)}:
            continue
        if registry is None:  # a class of torch's, which is not looked into before torch is needed
            fresh = section_defaults(section).get("conf", {})
        else:
            part = chosen_settings(problem, registry, wanted, f"{name}.{key}") or {}
            fresh = {k: s.default for k, s in part.items()}
        if nested:
            values["conf"] = copy.deepcopy(fresh)
        else:
            for old in chosen_settings(problem, registry, values[key], f"{name}.{key}") or ():
                values.pop(old, None)
            values.update(copy.deepcopy(fresh))
        values[key] = wanted
    return tree
