"""``--help``: every section and key with its default and one line of meaning, without importing torch."""

from __future__ import annotations

import json
import sys
from importlib import resources
from pathlib import Path
from typing import Any

from problems.engine.config.registry import load_class
from problems.engine.config.schema import Setting, Tree, schema

USAGE = """usage: {program} run [--config NAME|FILE]... [--start N] [--stop N] [--KEY VALUE]...
       {program} status | config [--config NAME|FILE]... [--KEY VALUE]...
       {program} predict --ckpt DIR AUDIO...

{summary}

  run      the stages: 0 prepare data, 1 build encoder, 2 train, 3 evaluate checkpoints, 4 report
  status   which stages are done, stale (and why) or missing, and the best result
  config   the resolved config as YAML, to edit and pass back with --config
  predict  a trained checkpoint on new audio: path<TAB>prediction

presets (--config): {presets}
--KEY VALUE, --KEY=VALUE and KEY=VALUE are the same; values are YAML. --traceback shows where an error was found.
Naming another part takes the settings of the one that it replaces away; to see its own: run --KEY NAME --help.

{values}:
"""


def _shown(value: Any) -> str:
    return "(to be given)" if value == "???" else json.dumps(value, ensure_ascii=False)


def _meaning(setting: Setting) -> str:
    names = setting.choices or (load_class(setting.registry) if setting.registry else ())
    return setting.help + (f" [{', '.join(names)}]" if names else "")


def text(problem: Any, tree: Tree, given: bool = False) -> str:
    """The whole help of a problem.

    Args:
        tree: the values to show, with the parts whose settings to list.
        given: whether the values are those of a command line, rather than the defaults of the code.
    """
    module = type(problem).__module__
    program = f"python -m {module}" if module.startswith("problems.") else f"python {Path(sys.argv[0]).name}"
    root = Path(str(resources.files("configs")))
    presets = sorted({p.stem for f in problem.families() for p in (root / f).glob("*.yaml")})
    unnamed = "; without --config, the preset `default` is laid over them" if "default" in presets else ""
    lines = [
        USAGE.format(
            program=program,
            summary=problem.summary,
            presets=", ".join(presets) or "none",
            values="keys with the values of this command line" if given else f"keys with their defaults{unnamed}",
        )
    ]
    settings = schema(problem, tree)
    section = None
    for key, setting in sorted(settings.items(), key=lambda p: _place(p[0], tree)):
        value = _at(tree, key)
        if isinstance(value, dict) and any(k.startswith(f"{key}.") for k in settings):
            continue  # its keys are listed one by one
        head = key.partition(".")[0] if "." in key else "for a run"
        if head != section:
            section = head
            docs = (getattr(problem.sections.get(head, problem.run_section), "__doc__", "") or "").splitlines()
            lines.append(f"\n{section}: {docs[0] if docs else ''}" if "." in key else "for a run:")
        if setting.heading:
            lines.append(f"  # {setting.heading}")
        lines.append(f"  --{key + ' ' + _shown(value):58} {_meaning(setting)}".rstrip())
    bare = [name for name in problem.sections if not any(k.startswith(f"{name}.") for k in settings)]
    if bare:
        lines.append(f"\nsections without keys, until a subclass adds some: {', '.join(bare)}")
    return "\n".join(lines)


def _at(tree: Any, key: str) -> Any:
    for part in key.split("."):
        tree = tree.get(part) if isinstance(tree, dict) else None  # a mistake in a command line is not help's to tell
    return tree


def _place(key: str, tree: dict[str, Any]) -> tuple[int, int]:
    """Keys of a run first, then sections, in the order of the config."""
    head = key.partition(".")[0]
    return ("." in key, list(tree).index(head) if head in tree else 0)
