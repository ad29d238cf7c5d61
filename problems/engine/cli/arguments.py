"""From the words of a command line to options, presets and one checked config."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dataset.wording import nearest
from problems.engine.config.layers import PRESETS, Layer, find_config, load_file, override_layer
from problems.engine.config.merge import resolve
from problems.engine.config.schema import Configurable, defaults, schema
from problems.engine.runtime.errors import ConfigError

BOOLEANS = ("true", "false", "yes", "no", "on", "off")  # the words that may follow a flag


@dataclasses.dataclass
class Arguments:
    """A parsed command line.

    Args:
        words: the words as typed, without the verb.
        configs: the values of ``--config``.
        overrides: the other options with their values, in order.
        files: the words that are neither.
    """

    words: list[str]
    configs: list[str] = dataclasses.field(default_factory=list)
    overrides: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    files: list[str] = dataclasses.field(default_factory=list)


def parse(words: Sequence[str], *, flags: Sequence[str] = (), options: Sequence[str] | None = None) -> Arguments:
    """Parse ``--config X``, ``--a.b v``, ``--a.b=v``, ``a.b=v``, flags and files.

    Args:
        flags: options that need no value.
        options: the only options, if the other words are files; None: every option, and no files.

    Raises:
        ConfigError: an option is unknown or has no value, or a word is neither an option nor an override.
    """
    arguments = Arguments(list(words))
    rest = [word for word in words if word != "--traceback"]
    while rest:
        word = rest.pop(0)
        is_option = word.startswith("--")
        if options is not None and not is_option:
            arguments.files.append(word)
            continue
        key, equals, value = word.removeprefix("--").partition("=")
        if not key or not (is_option or equals):
            raise ConfigError(f"{word!r} is not understood: expected --key value, --key=value or key=value")
        if options is not None and not _is_option(key, options):
            names = [f"--{name}KEY" if name.endswith(".") else f"--{name}" for name in options]
            raise ConfigError(f"unknown option {word!r}{nearest(key, options)}; expected {' or '.join(names)}")
        if not equals:
            value = _value_of(key, rest, flags)
        if key == "config":
            arguments.configs.append(value)
        else:
            arguments.overrides.append((key, value))
    return arguments


def _is_option(key: str, options: Sequence[str]) -> bool:
    return key in options or any(name.endswith(".") and key.startswith(name) for name in options)


def _value_of(key: str, rest: list[str], flags: Sequence[str]) -> str:
    """The next word, or true for a flag without a value."""
    if key in flags and not (rest and rest[0].lower() in BOOLEANS):
        return "true"
    if rest and not rest[0].startswith("--"):
        return rest.pop(0)
    raise ConfigError(f"--{key} needs a value")


def number_of(key: str, text: str, least: float = 0, most: float = 1e12) -> float | int:
    """The value of a numerical option.

    Raises:
        ConfigError: it is no number from ``least`` to ``most``.
    """
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not least <= number <= most:
        limit = f" to {most:g}" if most < 1e12 else ""
        raise ConfigError(f"--{key} is {text!r}: expected a number from {least:g}{limit}")
    return int(number) if number.is_integer() else number


def flags_of(problem: Configurable) -> list[str]:
    """The keys that need no value on the command line."""
    return [key for key, setting in schema(problem, defaults(problem)).items() if setting.type == "bool"]


def layers_of(problem: Configurable, configs: Sequence[str], overrides: Sequence[tuple[str, str]]) -> list[Layer]:
    """The layers of a config: presets and files, or else the preset ``default``, then the overrides."""
    families = problem.families()
    default = ["default"] if any((PRESETS / family / "default.yaml").is_file() for family in families) else []
    return [*(find_config(name, families) for name in configs or default), override_layer(overrides)]


def resolve_config(
    problem: Configurable,
    configs: Sequence[str],
    overrides: Sequence[tuple[str, str]],
    *,
    recorded: bool = False,
    to_edit: bool = False,
) -> dict[str, Any]:
    """The config of a command line, with its target folder.

    Args:
        recorded: use the config that the target folder holds, if the command line names nothing but the folder.
        to_edit: leave required values that are missing as ``???``.
    """
    layers = layers_of(problem, configs, overrides)
    default_dir = f"result/{problem.families()[0]}/{Path(configs[-1]).stem if configs else 'default'}"
    if recorded and not configs and all(key == "target_dir" for key, _ in overrides):
        path = Path(dict(overrides).get("target_dir", default_dir)) / "config.yaml"
        if path.exists():
            layers = [load_file(path), layers[-1]]
            for key in ("start", "stop", "fresh", "remove_all_cache"):
                layers[0].tree.pop(key, None)  # requests of that run alone
    config = resolve(problem, layers, to_edit)
    return config if config["target_dir"] else config | {"target_dir": default_dir}
