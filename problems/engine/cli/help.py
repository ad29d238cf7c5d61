"""``--help``: the verbs, and every section and key with its default and one line of help."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from problems.engine.cli.arguments import flags_of, layers_of, parse
from problems.engine.cli.next_steps import program_of
from problems.engine.cli.verbs import VERBS
from problems.engine.config.layers import presets_of
from problems.engine.config.merge import merge
from problems.engine.config.registry import load_class
from problems.engine.config.schema import Configurable, Setting, Tree, schema
from problems.engine.runtime.errors import SoundstageError

HELP = ("-h", "--help")
RUN = "options of run"


def help_text(problem: Configurable, words: Sequence[str]) -> str:
    """The help of a problem, with the values and the parts that the other words of the command line choose.

    A mistake in these words is ignored: help is never refused.
    """
    try:
        arguments = parse(words, flags=flags_of(problem))
        layers = layers_of(problem, arguments.configs, arguments.overrides) if words else []
    except SoundstageError:
        layers = []
    tree = merge(problem, layers, {}, [])
    presets = presets_of(problem.families())
    if layers:
        values = "keys with the values of this command line"
    elif "default" in presets:
        values = "keys with their defaults; without --config, the preset `default` is applied to them"
    else:
        values = "keys with their defaults"
    return "\n".join(
        [
            *_usage(problem),
            "",
            problem.summary,
            "",
            *(f"  {name:8} {verb.summary}" for name, verb in VERBS.items()),
            "",
            f"presets (--config): {', '.join(presets) or 'none'}",
            "--KEY VALUE, --KEY=VALUE and KEY=VALUE are the same; values are YAML. --traceback locates errors.",
            "Choosing another part replaces the settings of the previous one; to list them: run --KEY NAME --help.",
            "",
            f"{values}:",
            "",
            *_settings(problem, tree),
        ]
    )


def help_of_verb(problem: Configurable, name: str) -> str:
    """The help of a verb that takes files: its options."""
    verb = VERBS[name]
    options = ", ".join(f"--{own}KEY" if own.endswith(".") else f"--{own}" for own in verb.options or ())
    return f"{program_of(problem)} {name} {verb.usage}\n\n{verb.summary}\n\noptions: {options}"


def _usage(problem: Configurable) -> list[str]:
    lines = [f"{program_of(problem)} {name} {verb.usage}" for name, verb in VERBS.items()]
    return [f"usage: {lines[0]}", *(f"       {line}" for line in lines[1:])]


def _settings(problem: Configurable, tree: Tree) -> list[str]:
    """A line for each key, below its section and heading."""
    settings = schema(problem, tree)
    lines: list[str] = []
    section = None
    for key, setting in sorted(settings.items(), key=lambda item: _place(item[0], tree)):
        value = _value_at(tree, key)
        if isinstance(value, dict) and any(k.startswith(f"{key}.") for k in settings):
            continue  # its keys have lines of their own
        head = key.partition(".")[0] if "." in key else RUN
        if head != section:
            lines += _section(problem, head) if head != RUN else [f"{RUN}:"]
            section = head
        if setting.heading:
            lines.append(f"  # {setting.heading}")
        lines.append(f"  --{key + ' ' + _shown(value):58} {_help_line(setting)}".rstrip())
    empty = [name for name in problem.sections if not any(k.startswith(f"{name}.") for k in settings)]
    if empty:
        lines.append(f"\nsections without keys, unless a subclass adds some: {', '.join(empty)}")
    return lines


def _section(problem: Configurable, name: str) -> list[str]:
    docstring = (getattr(problem.sections.get(name), "__doc__", "") or "").splitlines()
    return ["", f"{name}: {docstring[0] if docstring else ''}".rstrip()]


def _shown(value: Any) -> str:
    return "(required)" if value == "???" else json.dumps(value, ensure_ascii=False)


def _help_line(setting: Setting) -> str:
    names = setting.choices or (load_class(setting.registry) if setting.registry else ())
    return setting.help + (f" [{', '.join(names)}]" if names else "")


def _value_at(tree: Any, key: str) -> Any:
    for part in key.split("."):
        tree = tree.get(part) if isinstance(tree, dict) else None
    return tree


def _place(key: str, tree: Tree) -> tuple[bool, int]:
    """The order of keys: those of the run, then the sections as in the config."""
    head = key.partition(".")[0]
    return ("." in key, list(tree).index(head) if head in tree else 0)
