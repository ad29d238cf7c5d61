"""Checkpoint folders: written whole or not at all, verified by content, ranked and pruned.

``train/step_00001000/`` is filled under another name, made durable and renamed. Its ``manifest.json`` has the size and
the SHA-256 of each file. Only then is ``best.json`` replaced, and only then are older checkpoints removed.
"""

from __future__ import annotations

import functools
import logging
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from dataset.storage.files import (
    free_name,
    read_json,
    remove_folder,
    restore_replaced,
    sha256,
    sweep,
    write_json,
)
from problems.engine.checkpoints.background import BackgroundWriter
from problems.engine.checkpoints.writing import MANIFEST, begin
from problems.engine.runtime.checkpoint_names import is_name, name_of, step_of
from problems.engine.runtime.environment import as_typed
from problems.engine.runtime.errors import CheckpointError

log = logging.getLogger(__name__)

BEST = "best.json"


def steps_in(train_dir: Path) -> list[Path]:
    """The checkpoint folders in ``train_dir``, oldest first."""
    folders = (path for path in Path(train_dir).glob("*") if is_name(path.name) and path.is_dir())
    return sorted(folders, key=step_of)


def damage(folder: Path) -> str | None:
    """Describe what is wrong with a checkpoint; None if every file has the size and content that were written."""
    try:
        files = read_json(Path(folder) / MANIFEST)["files"]
    except FileNotFoundError:
        return f"it has no {MANIFEST}"
    except (ValueError, KeyError, TypeError, NotADirectoryError):
        return f"its {MANIFEST} cannot be read"
    for name, expected in files.items():
        path = Path(folder) / name
        if not path.is_file():
            return f"{name} is missing"
        stat = path.stat()
        if stat.st_size != expected["bytes"]:
            return f"{name} has {stat.st_size} bytes, expected {expected['bytes']}"
        if _digest(path, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino) != expected["sha256"]:
            return f"{name} differs from what was written"
    return None


@functools.lru_cache(maxsize=1024)
def _digest(path: Path, *stat: int) -> str:
    """The digest of a file, which this process reads once unless its ``stat`` changes: weights may be large."""
    return sha256(path)


def is_inside(name: str) -> bool:
    """True if a name of a manifest, which may come from elsewhere, is that of a file inside its folder."""
    parts = PurePosixPath(name).parts
    return bool(parts) and not name.startswith("/") and ".." not in parts and "\\" not in name and ":" not in parts[0]


def is_interim(folder: Path) -> bool:
    """Return True if the checkpoint was written only because a signal or ``save_minutes`` asked for it.

    When such checkpoints are written depends on the clock. What a training leaves must not, so they are not counted
    among the newest, are not averaged, and are removed after the next checkpoint of the plan.
    """
    try:
        return bool(read_json(Path(folder) / MANIFEST).get("interim"))
    except (OSError, ValueError, AttributeError):
        return False


def require(folder: Path) -> Path:
    """Return ``folder`` if it is a whole checkpoint.

    Raises:
        CheckpointError: it is missing or damaged.
    """
    expected = f"expected a folder like .../train/{name_of(1000)}"
    if not Path(folder).is_dir():
        raise CheckpointError(f"the checkpoint {folder} does not exist; {expected}")
    if not (Path(folder) / "model").exists() and not (Path(folder) / MANIFEST).exists():
        raise CheckpointError(f"{folder} is not a checkpoint; {expected}")
    problem = damage(folder)
    if problem:
        raise CheckpointError(f"the checkpoint {folder} is damaged: {problem}; use another one")
    return Path(folder)


def newest(train_dir: Path) -> Path | None:
    """The newest checkpoint that verifies, or None if there is none. A warning names each damaged one passed over.

    Raises:
        CheckpointError: there are checkpoints, but none verifies; to start over would lose them silently.
    """
    folders = steps_in(train_dir)
    for folder in reversed(folders):
        problem = damage(folder)
        if problem is None:
            return folder
        log.warning("THE CHECKPOINT %s IS DAMAGED: %s; falling back to the one before", folder, problem)
    if folders:
        raise CheckpointError(
            f"all {len(folders)} checkpoints in {train_dir} are damaged; --fresh moves them aside and starts over"
        )
    return None


def tidy(train_dir: Path) -> None:
    """Finish what a kill interrupted, and set damaged checkpoints aside (``step_X.damaged.1``) if a whole one is left.

    Only for the process that holds the folder's lock.
    """
    if not Path(train_dir).is_dir():
        return
    restore_replaced(Path(train_dir), is_whole=lambda folder: damage(folder) is None)
    sweep(Path(train_dir))
    problems = {folder: damage(folder) for folder in steps_in(train_dir)}
    if all(problems.values()):
        return  # newest() refuses them
    for folder, problem in problems.items():
        if problem:
            aside = free_name(folder.with_name(f"{folder.name}.damaged"))
            log.warning("THE CHECKPOINT %s IS DAMAGED: %s; it is now %s", folder, problem, aside.name)
            os.rename(folder, aside)


Ranking = dict[str, list[tuple[float, float, int]]]
"""By rule, the best first: value, validation loss (inf without one), step."""


class Rule(NamedTuple):
    """A best-model rule: rank checkpoints by a metric and keep the best."""

    metric: str
    higher_better: bool
    keep: int


class Checkpoints:
    """The checkpoints of one training: written, ranked and pruned.

    Args:
        train_dir: the folder of the training.
        rules: by name; the first is the primary rule.
        keep_newest: how many of the newest to keep; None keeps all.
    """

    def __init__(self, train_dir: Path, rules: Mapping[str, Rule], keep_newest: int | None):
        self.train_dir = Path(train_dir)
        self.rules = {name: Rule(*rule) for name, rule in rules.items()}
        self.keep_newest = keep_newest
        self.ranking: Ranking = {rule: [] for rule in rules}
        self.writer = BackgroundWriter()

    def state(self) -> dict[str, list[list[float]]]:
        """The ranking, to be saved in each checkpoint."""
        return {rule: [list(entry) for entry in ranked] for rule, ranked in self.ranking.items()}

    def restore(self, state: Mapping[str, list[list[float]]], *, writes: bool = True) -> None:
        """Restore the ranking, dropping checkpoints that no longer exist.

        Args:
            state: from :meth:`state`; a checkpoint holds it.
            writes: also publish best.json again, which a kill may have prevented.
        """
        steps = {step_of(folder) for folder in steps_in(self.train_dir)}
        for rule in self.rules:
            self.ranking[rule] = [(value, loss, step) for value, loss, step in state.get(rule, []) if step in steps]
        if writes:
            self._publish(self.ranking)

    def rank(self, step: int, metrics: dict[str, float]) -> bool:
        """Place the checkpoint of ``step`` by each rule; return True if it is among the best of any.

        Of equal values the one with the lower validation loss is better, then the earlier one. NaN is never ranked.

        Raises:
            CheckpointError: a rule names a metric that the task does not give.
        """
        placed, loss = False, metrics.get("loss")
        loss = math.inf if loss is None or math.isnan(loss) else loss
        for name, rule in self.rules.items():
            if rule.metric not in metrics:
                raise CheckpointError(f"validation has no metric {rule.metric!r}, which the rule {name!r} ranks by")
            value = metrics[rule.metric]
            if value is None or math.isnan(value):
                continue
            entry, sign = (value, loss, step), -1 if rule.higher_better else 1
            ranked = sorted([*self.ranking[name], entry], key=lambda e: (sign * e[0], *e[1:]))
            self.ranking[name] = ranked[: rule.keep]
            placed |= entry in self.ranking[name]
        return placed

    def save(self, step: int, fill: Callable[[Path], None], interim: bool = False) -> Path:
        """Write the checkpoint of ``step`` to its end, as :meth:`start_saving`."""
        self.start_saving(step, fill, interim)
        self.wait()
        return self.train_dir / name_of(step)

    def start_saving(self, step: int, fill: Callable[[Path], None], interim: bool = False) -> None:
        """Begin the checkpoint of ``step`` (:func:`begin`); a thread writes the rest, publishes the ranking and prunes.

        The ranking is that of now: a validation that comes meanwhile ranks a checkpoint that is not there yet.

        Raises:
            CheckpointError: this checkpoint, or the rest of the one before, cannot be written.
        """
        self.wait()
        finish, ranking = begin(self.train_dir / name_of(step), fill, interim), self._ranking_now()

        def write_rest() -> None:
            finish()
            self._publish(ranking)
            self._prune(ranking)

        self.writer.start(write_rest)

    def wait(self) -> None:
        """Wait until the last checkpoint is complete.

        Raises:
            CheckpointError: it cannot be written.
        """
        self.writer.wait()

    def _ranking_now(self) -> Ranking:
        return {rule: [*ranked] for rule, ranked in self.ranking.items()}

    def _publish(self, ranking: Ranking) -> None:
        best = {rule: [name_of(step) for *_, step in ranked] for rule, ranked in ranking.items()}
        write_json(self.train_dir / BEST, best)

    def prune(self) -> None:
        """Remove the checkpoints that no rule keeps; interim ones are kept until a planned one follows."""
        self.wait()
        self._prune(self.ranking)

    def _prune(self, ranking: Ranking) -> None:
        newest = slice(None if self.keep_newest is None else -self.keep_newest, None)
        folders = steps_in(self.train_dir)
        planned = [folder for folder in folders if not is_interim(folder)]
        last_planned = step_of(planned[-1]) if planned else -1
        since = [folder for folder in folders if step_of(folder) > last_planned]
        keep = {*planned[newest], *since[newest]}
        keep |= {self.train_dir / name_of(step) for ranked in ranking.values() for *_, step in ranked}
        for folder in folders:
            if folder not in keep:
                remove_folder(folder)


def best(train_dir: Path) -> Path:
    """The best checkpoint by the first rule that has ranked any, or the newest if no validation has.

    Raises:
        CheckpointError: there is no checkpoint, or it is damaged.
    """
    try:
        ranked: dict[str, list[str]] = read_json(Path(train_dir) / BEST)
    except (FileNotFoundError, ValueError):
        ranked = {}
    for names in ranked.values():
        if names:
            return require(Path(train_dir) / names[0])
    folder = newest(train_dir)
    if folder is None:
        raise CheckpointError(f"there is no checkpoint in {train_dir}; run stage 2 first ({as_typed('start', 2)})")
    return folder
