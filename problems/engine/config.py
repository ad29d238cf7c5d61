"""From defaults, presets, files and dotted overrides to one checked config.

Layers merge in that order. Where a layer names another part (``build_upstream.name``, ``prepare_data.corpus``), the
settings of the part it replaces go with it. Every error of a config is found before the first is told.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module, resources
from pathlib import Path
from typing import Any

from dataset.option import REQUIRED
from problems.engine import components
from problems.engine.errors import ConfigError, nearest
from problems.engine.values import accepted

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
    open: bool = False  # a dict whose keys are somebody else's to check


@dataclasses.dataclass
class Layer:
    """A part of a config with the place it comes from; ``texts`` are command-line values as typed."""

    origin: str
    tree: Tree
    texts: dict[str, str] = dataclasses.field(default_factory=dict)


def fields_of(section: Any) -> Iterator[tuple[dataclasses.Field, Any]]:
    """Each field of a section's class with its default."""
    made = section() if isinstance(section, type) else section
    for field in dataclasses.fields(section):
        yield field, getattr(made, field.name, REQUIRED)


def _chooser(section: type) -> tuple[str, str, bool] | None:
    """``(key, registry, conf beside it?)`` of a section that names a part."""
    names = {f.name for f in dataclasses.fields(section)}
    for field in dataclasses.fields(section):
        if field.metadata.get("registry"):
            return field.name, field.metadata["registry"], "conf" in names
    return None


def _part(registry: str, name: str, section: str) -> dict[str, Setting]:
    """The settings of the part called ``name``."""
    target = components.resolve(name, components.load_class(registry), section)
    if registry.startswith("dataset.corpora"):  # light modules whose dataclasses hold bounds too
        return {f.name: _setting(f, default) for f, default in fields_of(components.load_class(target))}
    return {p.name: Setting(p.type, p.default, p.help) for p in components.describe(target)}


def _setting(field: dataclasses.Field, default: Any) -> Setting:
    bounds = {k: field.metadata.get(k) for k in ("help", "min", "max", "choices")}
    return Setting(type=str(field.type), default=default, open="dict" in str(field.type), **bounds)


def section_defaults(section: type) -> Tree:
    """A section's class as a dict, the settings of the part that it names included."""
    tree = {f.name: dataclasses.asdict(d) if dataclasses.is_dataclass(d) else d for f, d in fields_of(section)}
    chooser = _chooser(section)
    if chooser:
        key, registry, nested = chooser
        part = {name: s.default for name, s in _part(registry, tree[key], section.__name__).items()}
        tree = {**tree, "conf": {**part, **tree["conf"]}} if nested else {**tree, **part}
    return copy.deepcopy(tree)


def _declared(prefix: str, section: Any, tree: Mapping[str, Any]) -> dict[str, Setting]:
    found: dict[str, Setting] = {}
    for field, default in fields_of(section):
        path = f"{prefix}{field.name}"
        if dataclasses.is_dataclass(default):
            found |= _declared(f"{path}.", default, tree.get(field.name) or {})
        else:
            found[path] = _setting(field, default)
    chooser = _chooser(type(section) if not isinstance(section, type) else section)
    if chooser and chooser[0] in tree:
        key, registry, nested = chooser
        part = _part(registry, tree[key], prefix.rstrip("."))
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


def schema(problem: Any, tree: Tree) -> dict[str, Setting]:
    """Every key that a config of ``problem`` may have, given the parts that ``tree`` names."""
    default = problem.default_config()
    found = _declared("", problem.run_section, tree)
    for name, section in problem.sections.items():
        if set(default.get(name, {})) >= {f.name for f in dataclasses.fields(section)}:
            found |= _declared(f"{name}.", section, tree.get(name) or {})
    chosen = _follow_choices(problem, copy.deepcopy(default), tree)
    return found | _inferred("", chosen, found)


def _follow_choices(problem: Any, tree: Tree, layer: Mapping[str, Any]) -> Tree:
    """Replace the settings of every part for which ``layer`` names another."""
    for name, section in problem.sections.items():
        chooser, values, given = _chooser(section), tree.get(name), layer.get(name)
        if not (chooser and isinstance(values, dict) and isinstance(given, Mapping) and chooser[0] in values):
            continue
        key, registry, nested = chooser
        wanted = given.get(key, values[key])
        if wanted == values[key]:
            continue
        fresh = {k: s.default for k, s in _part(registry, wanted, f"{name}.{key}").items()}
        if nested:
            values["conf"] = fresh
        else:
            for old in _part(registry, values[key], name):
                values.pop(old, None)
            values.update(fresh)
        values[key] = wanted
    return tree


def _merge(tree: Tree, layer: Mapping[str, Any], origin: str, origins: dict[str, str], prefix: str = "") -> None:
    for key, value in layer.items():
        path = f"{prefix}{key}"
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
        raise ConfigError(f"cannot read the config {path}: {error.strerror}") from error
    if not isinstance(tree, dict):
        raise ConfigError(f"{path}: expected keys and values, got {type(tree).__name__}")
    return Layer(str(path), tree)


def find_config(name: str, families: Sequence[str]) -> Layer:
    """The layer of a preset's name or of a file; ``families`` are folders of ``configs``, the nearest first."""
    if Path(name).suffix in (".yaml", ".yml") or "/" in name:
        return load_file(Path(name))
    root = Path(str(resources.files("configs")))
    for family in families:
        path = root / family / f"{name}.yaml"
        if path.is_file():
            return dataclasses.replace(load_file(path), origin=f"preset {name}")
    presets = sorted(p.stem for f in families for p in (root / f).glob("*.yaml"))
    raise ConfigError(
        f"there is no preset {name!r}{nearest(name, presets)}; there are {', '.join(presets)}, or a .yaml file"
    )


def override_layer(pairs: Sequence[tuple[str, str]]) -> Layer:
    """Dotted overrides as typed, ``[("train.total_steps", "100")]``; values are YAML scalars, lists or mappings."""
    import yaml
    from omegaconf import OmegaConf

    layer = Layer("command line", {})
    for key, text in pairs:
        try:
            value = OmegaConf.to_container(OmegaConf.from_dotlist([f"v={text}"]), resolve=False)["v"]
        except (yaml.YAMLError, ValueError) as error:
            raise ConfigError(f"--{key}: {text!r} is not a YAML value: {error}") from error
        node = layer.tree
        *parents, last = key.split(".")
        for parent in parents:
            node = node.setdefault(parent, {})
            if not isinstance(node, dict):
                raise ConfigError(f"--{key}: {parent} was given a value of its own before")
        node[last] = value
        layer.texts[key] = text
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


def _unknown(path: str, settings: Mapping[str, Setting]) -> str:
    last = path.rpartition(".")[2]
    same = [k for k in settings if k.rpartition(".")[2] == last]
    hint = f"; did you mean {same[0]}?" if same else nearest(path, settings)
    return f"{path}: unknown key{hint}"


def resolve(problem: Any, layers: Sequence[Layer]) -> Tree:
    """Merge ``layers`` onto the problem's defaults and check the result.

    Raises:
        ConfigError: with every unknown key, wrong type, value out of bounds and missing value.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    tree, origins, texts = problem.default_config(), {}, {}
    for layer in layers:
        tree = _follow_choices(problem, tree, layer.tree)
        _merge(tree, layer.tree, layer.origin, origins)
        texts = {**texts, **layer.texts}
    try:
        tree = OmegaConf.to_container(OmegaConf.create(tree), resolve=True)
    except OmegaConfBaseException as error:
        raise ConfigError(f"the config refers to something that is not there: {error}") from error
    settings = schema(problem, tree)
    errors = []
    for path, value in list(_leaves(tree, settings)):
        where = f" ({origins[path]})" if path in origins else ""
        setting = settings.get(path)
        if setting is None:
            inside_open = any(s.open and path.startswith(f"{k}.") for k, s in settings.items())
            if not inside_open:
                errors.append(_unknown(path, settings) + where)
        elif isinstance(value, str) and value == REQUIRED:
            errors.append(f"{path}: must be given: {setting.help or 'it has no default'}")
        else:
            try:
                _put(tree, path, accepted(value, setting, texts.get(path)))
            except ValueError as error:
                errors.append(f"{path}: {error}{where}")
    for name, section in problem.sections.items():
        if not errors and hasattr(section, "check"):
            errors += section.check(tree[name])
    if errors:
        head = "the config is wrong" if len(errors) == 1 else f"{len(errors)} errors in the config"
        raise ConfigError(f"{head}:\n  " + "\n  ".join(errors))
    return tree


def registry_names(registry: str) -> list[str]:
    """The names in a registry, for ``--help``."""
    module, _, name = registry.partition(":")
    return list(getattr(import_module(module), name))
