"""``manifest``: write the sets of a target folder as manifests of another toolkit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dataset.storage.files import write_folder
from dataset.wording import count, nearest
from problems.engine.cli.arguments import Arguments, resolve_config
from problems.engine.runtime.errors import ConfigError, StageError

USAGE = "manifest --to FORMAT --out DIR"


def manifest(problem: Any, arguments: Arguments) -> int:
    """Write the CSVs of stage 0 into a new folder, in the format that ``--to`` names."""
    from dataset.corpora.manifests.writers import WRITERS
    from dataset.metadata import read_csv
    from problems.engine.stages.target_folder import TargetFolder

    own = {key: value for key, value in arguments.overrides if key in ("to", "out")}
    for key in ("to", "out"):
        if key not in own:
            raise ConfigError(f"--{key} is missing; expected {USAGE}, with one of {', '.join(WRITERS)}")
    if own["to"] not in WRITERS:
        raise ConfigError(f"--to {own['to']}{nearest(own['to'], WRITERS)}: expected one of {', '.join(WRITERS)}")
    out = Path(own["out"]).expanduser().absolute()
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise ConfigError(f"--out {out} is not empty; give a folder that does not exist, or remove it")
    overrides = [(key, value) for key, value in arguments.overrides if key not in own]
    folder = TargetFolder(problem, resolve_config(problem, arguments.configs, overrides, recorded=True))
    train, valid, tests = folder.csvs()
    if not tests or not Path(train).is_file():
        raise StageError(f"{folder.root} has no data/train.csv; write it first, with run --stop 0")
    tables = {Path(csv).stem: read_csv(csv, (), may_be_empty=True) for csv in (train, valid, *tests)}
    lists = {name for name, table in tables.items() if not len(table) or "id1" in table}
    write_folder(
        out,
        lambda target: [
            WRITERS[own["to"]](table.to_dict("records"), target, name)
            for name, table in tables.items()
            if name not in lists
        ],
    )
    for name, table in tables.items():
        why = "a list of trials: not written" if "id1" in table else "empty: not written"
        print(f"{name:12} {why if name in lists else count(len(table), 'utterance')}")
    print(out)
    return 0
