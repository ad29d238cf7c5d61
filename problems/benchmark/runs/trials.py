"""The trials of a search: trainings that differ in settings, and the one with the best validation."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataset.storage.files import read_json
from problems.benchmark.runs.jobs import Group, Job, Outcome, report_progress, run_jobs, say
from problems.engine.runtime.errors import DivergedError


@dataclass(frozen=True)
class Trial:
    """A training of a search.

    Args:
        problem: a key of the registry.
        name: for people.
        words: its config and overrides, without the folder.
        folder: its target folder.
        log: the file of its messages.
    """

    problem: str
    name: str
    words: tuple[str, ...]
    folder: Path
    log: Path

    def job(self, *more: str) -> Job:
        """The command line of a run of all its stages, or of those that ``more`` says."""
        return Job(self.name, self.problem, ("run", *self.words, f"--target_dir={self.folder}", *more), self.log)

    @property
    def diverged(self) -> Path:
        """The file that marks a training whose gradients were not finite for too long."""
        return self.folder / "diverged"

    @property
    def dropped(self) -> Path:
        """The file that marks a training that was ended early, as others were better."""
        return self.folder / "dropped"

    def has_ended(self) -> bool:
        """True if the training came to its end."""
        try:
            stage = read_json(self.folder / "stages.json")["stages"]["2"]
        except (OSError, ValueError, KeyError):
            return False
        return stage.get("status") == "done"

    def state(self) -> str:
        """``ended``, ``diverged``, ``dropped`` or ``open``."""
        marked = [path.name for path in (self.diverged, self.dropped) if path.exists()]
        return "ended" if self.has_ended() else next(iter(marked), "open")

    def is_open(self) -> bool:
        """True if the training is neither at its end, nor diverged, nor dropped."""
        return self.state() == "open"

    def validations(self) -> list[dict[str, Any]]:
        """The lines of the history about validations."""
        try:
            lines = (self.folder / "train" / "metrics.jsonl").read_text("utf-8").splitlines()
        except OSError:
            return []
        rows = (json.loads(line) for line in lines if line.endswith("}"))  # a kill may have cut the last one
        return [row for row in rows if row["split"] == "valid"]

    def validation(self) -> tuple[float, bool] | None:
        """The best validation, and whether more is better; None without one."""
        try:
            rules = read_json(self.folder / "train" / "best.json")
        except (OSError, ValueError):
            return None
        metric, _, sense = next(iter(rules)).rpartition(" ")
        values = [row[metric] for row in self.validations() if row.get(metric) is not None]
        higher = sense == "max"
        return ((max if higher else min)(values), higher) if values else None


def best_of(trials: Sequence[Trial], title: str) -> Trial:
    """The trial with the best validation; of equal ones the first.

    Raises:
        FileNotFoundError: a trial has not ended, or none has a validation.
    """
    open_trials = [trial.name for trial in trials if trial.is_open()]
    values = {trial: own for trial in trials if trial.has_ended() and (own := trial.validation()) is not None}
    if open_trials:
        names = ", ".join(open_trials)
        raise FileNotFoundError(f"{title}: the best is chosen when all have ended, which these have not: {names}")
    if not values:
        raise FileNotFoundError(f"{title}: there is none to choose, as all diverged or have no validation")
    higher = next(iter(values.values()))[1]
    best = (max if higher else min)(value for value, _ in values.values())
    return next(trial for trial, (value, _) in values.items() if value == best)


def run_passes(
    passes: Sequence[Sequence[Trial]],
    parallel: int,
    judge: Callable[[Sequence[Trial], Sequence[Trial]], Callable[..., None]] | None = None,
) -> int:
    """Train what is open, the trials of each pass in one process; return how many failed.

    A training that diverges is marked, and has not failed.

    Args:
        judge: from all trials of a pass and those that run to what ends some of them early, such as
            :class:`problems.benchmark.runs.halving.Halving`.
    """
    groups, by_job, failed = [], {}, 0
    for trials in passes:
        running = [trial for trial in trials if trial.is_open()]
        jobs = tuple(trial.job("--stop=2") for trial in running)
        by_job |= dict(zip(jobs, running))
        if jobs:
            groups.append(Group(jobs, judge(trials, running) if judge and len(trials) > 1 else None))
    for outcome in run_groups(groups, parallel, "trainings"):
        if outcome.code == DivergedError.exit_code:
            by_job[outcome.job].diverged.touch()
        else:
            failed += outcome.code != 0
    return failed


def run_groups(groups: Sequence[Group], parallel: int, what: str) -> list[Outcome]:
    """Run groups of jobs, and tell of each as it ends."""
    total = sum(len(group.jobs) for group in groups)
    if groups:
        say(f"{total} {what}, {parallel} {'process' if parallel == 1 else 'processes'} at a time")
    return report_progress(run_jobs(groups, parallel), total)
