"""``python -m problems results``: export, check and import results, and generate the leaderboard."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dataset.storage.files import write_json, write_text
from dataset.wording import count, nearest
from problems.benchmark.results import schema
from problems.benchmark.results.export import rows_of
from problems.benchmark.results.importers import IMPORTERS
from problems.engine.cli.arguments import parse
from problems.engine.runtime.errors import ConfigError

USAGE = {
    "export": "results export FOLDER [--upstream_revision [LABEL=]REVISION]... [--out DIR]",
    "validate": "results validate FILE...",
    "board": "results board FOLDER [--out index.html]",
    "import": "results import s3prl|csv FILE [--protocol superb|quick|toy] [--out DIR]",
}
HELP = f"""usage: python -m problems {USAGE["export"]}
       python -m problems {USAGE["validate"]}
       python -m problems {USAGE["board"]}
       python -m problems {USAGE["import"]}

  export     write each row of a superb folder as a JSON file, to hand in
  validate   check such files
  board      make a leaderboard of a folder of them, one page that needs no server
  import     write such files for the results of s3prl, or of a CSV

  --upstream_revision [LABEL=]REVISION   export: the revision of an encoder's weights
  --out DIR, -o DIR                      export, import: for the files; by default results
                                         board: the page; by default index.html
  --protocol superb|quick|toy            import: the protocol of the results; by default superb"""


def results(words: Sequence[str]) -> int:
    """Run ``results export``, ``validate``, ``board`` or ``import``.

    Returns:
        1 if a file that was to be validated is wrong.

    Raises:
        ConfigError: the command or a file is wrong.
    """
    verb, *rest = words or [""]
    verbs = {"export": _export, "validate": _validate, "board": _board, "import": _import}
    if verb not in verbs:
        raise ConfigError(f"results {verb}: expected one of{nearest(verb, verbs)}\n  " + "\n  ".join(USAGE.values()))
    return verbs[verb](rest)


def _export(words: Sequence[str]) -> int:
    arguments = parse(_with_long_out(words), options=("upstream_revision", "out"))
    folder = Path(_only(arguments.files, "export"))
    given = [value for key, value in arguments.overrides if key == "upstream_revision"]
    revisions = {label if equals else "": revision for label, equals, revision in map(_parts, given)}
    return _write(rows_of(folder, revisions), arguments.overrides)


def _parts(text: str) -> tuple[str, str, str]:
    label, equals, revision = text.partition("=")
    return (label, equals, revision) if equals else ("", "", text)


def _validate(words: Sequence[str]) -> int:
    arguments = parse(words, options=())
    if not arguments.files:
        raise ConfigError(f"results validate needs files: {USAGE['validate']}")
    wrong = 0
    for name in arguments.files:
        try:
            row = schema.read(Path(name))
            print(f"{name}: {row['upstream']['label']}, {count(len(row['results']), 'result')}")
        except ConfigError as error:
            wrong += 1
            print(error, file=sys.stderr)
    return 1 if wrong else 0


def _board(words: Sequence[str]) -> int:
    from problems.benchmark.results import board

    arguments = parse(_with_long_out(words), options=("out",))
    rows = board.read_all(Path(_only(arguments.files, "board")))
    path = Path(dict(arguments.overrides).get("out", "index.html"))
    write_text(path, board.page(list(rows.values())))
    print(f"{path}: {count(len(rows), 'encoder')}")
    return 0


def _import(words: Sequence[str]) -> int:
    arguments = parse(_with_long_out(words), options=("out", "protocol"))
    if len(arguments.files) != 2 or arguments.files[0] not in IMPORTERS:
        raise ConfigError(f"results import needs a kind and a file: {USAGE['import']}")
    kind, path = arguments.files
    protocol = dict(arguments.overrides).get("protocol", "superb")
    return _write(IMPORTERS[kind](Path(path), protocol), arguments.overrides)


def _with_long_out(words: Sequence[str]) -> list[str]:
    return ["--out" if word == "-o" else word for word in words]


def _only(files: Sequence[str], verb: str) -> str:
    if len(files) != 1:
        raise ConfigError(f"results {verb} needs one folder: {USAGE[verb]}")
    return files[0]


def _write(rows: Iterable[Mapping[str, Any]], overrides: Sequence[tuple[str, str]]) -> int:
    """Check every row, then write one file for each; one of another source is not replaced."""
    folder = Path(dict(overrides).get("out", "results"))
    by_path: dict[Path, Mapping[str, Any]] = {}
    for row in rows:
        path = folder / f"{_file_name(row)}.json"
        if path in by_path:
            raise ConfigError(f"{row['upstream']['label']} and {by_path[path]['upstream']['label']} both become {path}")
        by_path[path] = row
    errors = [
        error for row in by_path.values() for error in schema.check(row, f"the row of {row['upstream']['label']}")
    ]
    errors += [error for path, row in by_path.items() if (error := _other_source(path, row["source"])) is not None]
    if errors:
        raise ConfigError("\n".join(errors))
    for path, row in by_path.items():
        write_json(path, row)
        print(path)
    return 0


def _other_source(path: Path, source: str) -> str | None:
    """An error if there is a file of another source."""
    if not path.exists() or (old := schema.read(path)["source"]) == source:
        return None
    return f"{path} is there already, of the source {old}, and this is of {source}: delete it, or give another --out"


def _file_name(row: Mapping[str, Any]) -> str:
    end = "" if row["protocol"] == "superb" else f"-{row['protocol']}"
    return (re.sub(r"[^\w.+-]+", "_", row["upstream"]["label"]).strip("_.") or "encoder") + end
