"""``python -m problems run grid.yaml``: problems, settings, seeds and folds, one folder each, and one table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dataset.storage.files import sweep, write_json, write_text
from problems.benchmark.grids.file import Grid, GridRun, read_grid
from problems.benchmark.grids.table import GridTable
from problems.benchmark.runs.jobs import Group, say
from problems.benchmark.runs.trials import Trial, run_groups, run_passes
from problems.engine.cli.arguments import number_of, parse
from problems.engine.runtime.errors import ConfigError
from problems.engine.runtime.folder_lock import folder_lock

USAGE = "run GRID.yaml [--parallel N] [--target_dir DIR]"
HELP = f"""usage: python -m problems {USAGE}

Every run of a grid, one folder each, and one table. The same command continues, or has only the table to write.

  GRID.yaml          problems, settings, seeds and folds; docs/benchmark.md has an example
  --parallel N       processes at a time; by default what the grid says, or 1
  --target_dir DIR   for the runs; by default what the grid says, or result/grid/GRID

One problem is run by python -m problems.PROBLEM run."""


def run(words: Sequence[str]) -> int:
    """Run what a grid names, and write its table; a second call continues, or has nothing to do but the table.

    Returns:
        1 if a run failed; the others go on.

    Raises:
        ConfigError: the file or an option is wrong.
    """
    arguments = parse(words, options=("parallel", "target_dir"))
    if len(arguments.files) != 1:
        raise ConfigError(f"run needs one grid: {USAGE}; one problem is run by python -m problems.PROBLEM run")
    options, grid = dict(arguments.overrides), read_grid(Path(arguments.files[0]))
    root = Path(options.get("target_dir", grid.target_dir))
    parallel = int(number_of("parallel", options.get("parallel", str(grid.parallel)), 1))
    with folder_lock(root):
        sweep(root)
        return _run(grid, root, parallel)


def _run(grid: Grid, root: Path, parallel: int) -> int:
    trials = [_trial(own, root) for own in grid.runs]
    say(f"{grid.path}: {len(trials)} runs in {root}")
    run_passes(_passes(grid.runs, trials), parallel)
    errors = {trial: _why_open(trial) for trial in trials if not trial.has_ended()}
    ready = {trial.job(): trial for trial in trials if trial not in errors}
    outcomes = run_groups([Group((job,)) for job in ready], parallel, "runs")
    errors |= {ready[outcome.job]: outcome.message for outcome in outcomes if outcome.code}
    _write(grid, root)
    for trial, error in errors.items():
        say(f"FAILED: {trial.name}: {error}; see {trial.log}")
    return 1 if errors else 0


def _why_open(trial: Trial) -> str:
    return "it diverged" if trial.state() == "diverged" else "its training did not come to its end"


def _trial(own: GridRun, root: Path) -> Trial:
    return Trial(
        problem=own.problem,
        name=str(own.folder).replace("/", " / "),
        words=own.words,
        folder=root / own.folder,
        log=root / "logs" / f"{str(own.folder).replace('/', '-')}.log",
    )


def _passes(runs: Sequence[GridRun], trials: Sequence[Trial]) -> list[list[Trial]]:
    """The trials by the pass over the data in which they train."""
    passes: dict[str, list[Trial]] = {}
    for own, trial in zip(runs, trials):
        passes.setdefault(own.pass_key, []).append(trial)
    return list(passes.values())


def _write(grid: Grid, root: Path) -> None:
    table = GridTable(grid.runs, root)
    write_json(root / "grid.json", table.json())
    write_text(root / "grid.csv", table.csv())
    write_text(root / "grid.html", table.page(grid.path.stem))
    print(table.text())
    say(f"\npage: {root / 'grid.html'}")
