"""``--help``: every section and key with its default and one line of meaning, without importing torch."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

from problems.engine import config as configuration

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
"""


def _shown(value: Any) -> str:
    return "(to be given)" if value == "???" else json.dumps(value, ensure_ascii=False)


def text(problem: Any, verb: str | None = None) -> str:
    """The whole help of a problem."""
    module = type(problem).__module__
    program = f"python -m {module}" if module.startswith("problems.") else "python your_file.py"
    root = Path(str(resources.files("configs")))
    presets = sorted({p.stem for f in problem.families() for p in (root / f).glob("*.yaml")})
    lines = [USAGE.format(program=program, summary=problem.summary, presets=", ".join(presets) or "none")]
    tree = problem.default_config()
    section = None
    settings = configuration.schema(problem, tree)
    for key, setting in sorted(settings.items(), key=lambda p: _place(p[0], tree)):
        value = _at(tree, key)
        if value == {} and (key in problem.sections or any(k.startswith(f"{key}.") for k in settings)):
            continue
        head = key.partition(".")[0] if "." in key else "for a run"
        if head != section:
            section = head
            docs = (getattr(problem.sections.get(head, problem.run_section), "__doc__", "") or "").splitlines()
            lines.append(f"\n{section}: {docs[0] if docs else ''}")
        meaning = setting.help + (f" [{', '.join(setting.choices)}]" if setting.choices else "")
        lines.append(f"  --{key + ' ' + _shown(value):58} {meaning}".rstrip())
    return "\n".join(lines)


def _at(tree: Any, key: str) -> Any:
    for part in key.split("."):
        tree = tree[part]
    return tree


def _place(key: str, tree: dict[str, Any]) -> tuple[int, int]:
    """Keys of a run first, then sections, in the order of the config."""
    head = key.partition(".")[0]
    return ("." in key, list(tree).index(head) if head in tree else 0)
