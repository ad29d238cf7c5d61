"""``python -m problems sweep PROBLEM --over.KEY VALUES``: trainings that differ in settings, and a test of the best."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import problems
from dataset.storage.files import sweep as remove_leftovers
from dataset.storage.files import write_json, write_text
from dataset.wording import nearest
from problems.benchmark.runs.halving import Halving
from problems.benchmark.runs.jobs import Group, say
from problems.benchmark.runs.passes import folder_name, of_data, plain
from problems.benchmark.runs.trials import Trial, best_of, run_groups, run_passes
from problems.benchmark.spaces import Space, Suggestions, space_of
from problems.engine.cli.arguments import flags_of, number_of, parse, resolve_config
from problems.engine.config import yaml_text
from problems.engine.runtime.errors import ConfigError
from problems.engine.runtime.folder_lock import folder_lock
from problems.engine.runtime.formatting import csv_text, table

USAGE = (
    "sweep PROBLEM --over.KEY '[VALUE, ...]'... [--over.KEY '{low: A, high: B, log: true}' --trials N] [--halving]"
    " [--parallel N] [--config NAME] [--target_dir DIR] [--KEY VALUE]..."
)
HELP = f"""usage: python -m problems {USAGE}

Train a problem at every combination of some values, or at so many that optuna suggests, choose by validation, and
test the best. The same command continues, or has only the table to write.

  --over.KEY '[VALUE, ...]'                    values of a setting
  --over.KEY '{{low: A, high: B, log: true}}'    a range; it needs --trials
  --trials N          trainings in all, at values that optuna suggests
  --halving           end the worse trainings early
  --parallel N        processes at a time; by default 1
  --config NAME       a preset or a file
  --target_dir DIR    for the runs; by default result/sweep/PROBLEM
  --KEY VALUE         a setting of all of them: python -m problems.PROBLEM --help"""
OWN = ("trials", "halving", "parallel", "target_dir")
OVER = "over."
AT_ONCE = 5
"""Trainings that are suggested together, and trained in one pass."""


def sweep(words: Sequence[str]) -> int:
    """Train a problem at each combination of values, choose by validation, and run all stages of the best.

    A second call continues, or has nothing to do but the table.

    Returns:
        1 if a run failed; the others go on.

    Raises:
        ConfigError: an option is wrong.
    """
    name, *rest = words or [""]
    if name not in problems.NAMES:
        raise ConfigError(f"sweep: unknown problem {name!r}{nearest(name, problems.NAMES)}: {USAGE}")
    problem = problems.get(name)()
    arguments = parse(rest, flags=("halving", *flags_of(problem)))
    options = {key: value for key, value in arguments.overrides if key in OWN}
    spaces = [space_of(key, value) for key, value in _over(arguments.overrides)]
    if not spaces:
        raise ConfigError(f"sweep needs what to vary: {USAGE}")
    fixed = [(key, value) for key, value in arguments.overrides if key not in OWN and not key.startswith(OVER)]
    for space in spaces:  # a wrong key or value is refused before anything runs
        for value in space.examples():
            override = (space.key, json.dumps(value))
            resolve_config(problem, arguments.configs, [*fixed, override, ("target_dir", "x")])
    common = tuple(f"--config={config}" for config in arguments.configs) + tuple(f"--{k}={v}" for k, v in fixed)
    root = Path(options.get("target_dir", f"result/sweep/{name}"))
    parallel = int(number_of("parallel", options.get("parallel", "1"), 1))
    count = int(number_of("trials", options["trials"], 1)) if "trials" in options else None
    with folder_lock(root):
        remove_leftovers(root)
        return _run(
            _Search(name, root, common, spaces),
            count=count,
            parallel=parallel,
            halves=options.get("halving", "false") == "true",
        )


def _over(overrides: Sequence[tuple[str, str]]) -> list[tuple[str, Any]]:
    return [(key.removeprefix(OVER), yaml_text.load(value)) for key, value in overrides if key.startswith(OVER)]


class _Search:
    """The trials of a sweep in its folder.

    Args:
        problem: a key of the registry.
        common: words of every run.
    """

    def __init__(self, problem: str, root: Path, common: tuple[str, ...], spaces: Sequence[Space]):
        self.problem, self.root, self.common, self.spaces = problem, root, common, spaces
        self.settings: dict[Trial, dict[str, Any]] = {}

    def trial(self, values: Mapping[str, Any]) -> Trial:
        """The training at some values."""
        folder = self._folder(values)
        own = tuple(f"--{key}={json.dumps(value)}" for key, value in values.items())
        trial = Trial(
            problem=self.problem,
            name=" ".join(f"{key.rpartition('.')[2]} {plain(value)}" for key, value in values.items()),
            words=(*self.common, *own),
            folder=folder,
            log=self.root / "logs" / f"{folder.name}.log",
        )
        same = next((own for own in self.settings.values() if own != values and self._folder(own) == folder), None)
        if same is not None:
            raise ConfigError(f"--over: {same} and {values} share the folder {folder.name}; leave one of them out")
        self.settings[trial] = dict(values)
        return trial

    def _folder(self, values: Mapping[str, Any]) -> Path:
        return self.root / folder_name(values)

    def passes(self, combinations: Sequence[Mapping[str, Any]]) -> list[list[Trial]]:
        """Trials by what they share: those that differ only in the training are in one pass over the data."""
        groups: dict[str, list[Trial]] = {}
        for values in combinations:
            groups.setdefault(json.dumps(of_data(values)), []).append(self.trial(values))
        return [list(dict.fromkeys(trials)) for trials in groups.values()]  # values may be suggested twice


def _run(search: _Search, *, count: int | None, parallel: int, halves: bool) -> int:
    failed = 0
    for combinations in _combinations(search, count):
        failed += run_passes(search.passes(combinations), parallel, Halving if halves else None)
    trials = list(search.settings)
    try:
        best = best_of(trials, "sweep")
    except FileNotFoundError as error:
        say(f"error: {error}")
        return 1
    failed += sum(outcome.code != 0 for outcome in run_groups([Group((best.job(),))], 1, "run of the best"))
    _write(search, best)
    return 1 if failed else 0


def _combinations(search: _Search, count: int | None) -> Iterator[list[dict[str, Any]]]:
    """The values of each round: all combinations at once, or suggestions that follow from the rounds before."""
    keys = [space.key for space in search.spaces]
    if count is None:
        values = [space.every_value() for space in search.spaces]
        yield [dict(zip(keys, combination)) for combination in itertools.product(*values)]
        return
    suggestions = Suggestions(search.spaces)
    for start in range(0, count, AT_ONCE):
        asked = suggestions.ask(min(AT_ONCE, count - start))
        yield asked
        suggestions.tell([search.trial(values).validation() for values in asked])


def _write(search: _Search, best: Trial) -> None:
    """Write ``sweep.json`` and ``sweep.csv``, and print the table, the best trial first."""
    rows = []
    for trial, values in search.settings.items():
        state = "best" if trial == best else trial.state()
        own = trial.validation() if trial.has_ended() else None
        rows.append({**values, "validation": own and own[0], "state": state, "folder": trial.folder.name})
    higher = best.validation()[1]
    rows.sort(key=lambda row: (row["validation"] is None, (row["validation"] or 0) * (-1 if higher else 1)))
    write_json(search.root / "sweep.json", {"problem": search.problem, "best": best.folder.name, "trials": rows})
    cells = [["" if value is None else _cell(value) for value in row.values()] for row in rows]
    write_text(search.root / "sweep.csv", csv_text([list(rows[0]), *cells]))
    print(table(list(rows[0]), cells, left=0))
    say(f"\nreport of the best: {best.folder / 'report' / 'report.html'}")


def _cell(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
