"""The layers of a config: presets, YAML files and command-line overrides."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from dataset.wording import nearest
from problems.engine.config import yaml_text
from problems.engine.config.schema import Tree
from problems.engine.runtime.errors import ConfigError

PRESETS = Path(str(resources.files("configs")))
"""The folder of presets: one folder per problem, and presets for all problems beside them."""


@dataclasses.dataclass
class Layer:
    """A part of a config.

    Args:
        origin: where it comes from, for error messages.
        tree: its keys and values.
        texts: command-line values as typed, by dotted key.
    """

    origin: str
    tree: Tree
    texts: dict[str, str] = dataclasses.field(default_factory=dict)


def load_file(path: Path) -> Layer:
    """A YAML file as a layer.

    Raises:
        ConfigError: the file cannot be read, or does not hold keys and values.
    """
    import yaml

    try:
        tree = yaml_text.load(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from error
    except OSError as error:
        raise ConfigError(f"cannot read the config {path}: {error.strerror}") from error
    if not isinstance(tree, dict):
        raise ConfigError(f"{path}: expected keys and values, got {type(tree).__name__}")
    for key in tree:
        if "." in str(key):
            raise ConfigError(f"{path}: {key}: dotted keys are for the command line; in a file, nest the keys")
    return Layer(str(path), tree)


def find_config(name: str, families: Sequence[str]) -> Layer:
    """The layer of a preset or of a YAML file.

    Args:
        name: the name of a preset, or a path.
        families: the folders of ``configs`` to search, in this order, before ``configs`` itself.
    """
    if Path(name).suffix in (".yaml", ".yml") or "/" in name:
        return load_file(Path(name))
    for folder in _folders(families):
        path = folder / f"{name}.yaml"
        if path.is_file():
            return dataclasses.replace(load_file(path), origin=f"preset {name}")
    presets = sorted({path.stem for folder in _folders(families) for path in folder.glob("*.yaml")})
    raise ConfigError(
        f"unknown preset {name!r}{nearest(name, presets)}; expected one of {', '.join(presets)}, or a .yaml file"
    )


def presets_of(families: Sequence[str]) -> list[str]:
    """The names of the presets of a problem."""
    return sorted({path.stem for family in families for path in (PRESETS / family).glob("*.yaml")})


def _folders(families: Sequence[str]) -> list[Path]:
    return [*(PRESETS / family for family in families), PRESETS]


def override_layer(pairs: Sequence[tuple[str, str]]) -> Layer:
    """Dotted overrides as typed, ``[("train.total_steps", "100")]``, as a layer; values are YAML."""
    layer = Layer("command line", {})
    for key, text in pairs:
        node = layer.tree
        *parents, last = key.split(".")
        for parent in parents:
            node = node.setdefault(parent, {})
            if not isinstance(node, dict):
                raise ConfigError(f"--{key}: an earlier option sets {parent} to a single value")
        node[last] = _value(text)
        layer.texts = {k: t for k, t in layer.texts.items() if not k.startswith(f"{key}.")} | {key: text}
    return layer


def _value(text: str) -> Any:
    """``text`` read as YAML. Invalid YAML is text, and so are 0012 and 12:30 (numbers in base 8 and 60)."""
    import yaml

    try:
        value = yaml_text.load(text)
    except yaml.YAMLError:
        return text
    is_odd = type(value) is int and (":" in text or re.fullmatch(r"[-+]?0\d+", text.strip()))
    return text if is_odd else value
