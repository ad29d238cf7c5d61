"""The paths of a run's files in its target folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dataset.storage.files import sha256
from problems.engine.checkpoints import store
from problems.engine.checkpoints.averaging import NAME as AVERAGE
from problems.engine.checkpoints.find import find
from problems.engine.runtime.checkpoint_names import name_of, step_of
from problems.engine.runtime.environment import cache_folder
from problems.engine.runtime.errors import ConfigError
from problems.engine.runtime.overrides import call

OWN_AVERAGE = (AVERAGE, f"train/{AVERAGE}")
"""Values of ``test_ckpt_dir`` that mean the average of this run's checkpoints."""
BEST, LAST = "best", "last"
"""Entries of ``evaluate.ckpts``, beside the average, that mean a checkpoint of this run."""


class TargetFolder:
    """The files of one run of a problem.

    Args:
        problem: knows the paths of its metadata and its encoder.
        config: resolved (:func:`problems.engine.config.merge.resolve`).
    """

    def __init__(self, problem: Any, config: Mapping[str, Any]):
        self.problem, self.config = problem, config
        self.root = Path(config["target_dir"]).absolute()
        self.cache = cache_folder(config)
        self.train_dir, self.evaluate_dir, self.report_dir = (self.root / n for n in ("train", "evaluate", "report"))

    @property
    def read_root(self) -> Path:
        """The target folder whose data builders read."""
        return self.root

    def csvs(self) -> tuple[str, str, list[str]]:
        """The metadata CSVs of the training, validation and test sets."""
        return self._paths("prepare_data")

    def encoder_path(self) -> str:
        """The label encoder's folder."""
        train, valid, tests = self.csvs()
        csvs = {"train_csv": train, "valid_csv": valid, "test_csvs": tests}
        return self._paths("build_encoder", **csvs)

    def _paths(self, method: str, **arguments: Any) -> Any:
        """The paths that a builder would write."""
        folders = {"target_dir": str(self.root), "cache_dir": str(self.cache)}
        sections = {method: self.config[method]}
        return call(self.problem, method, **sections, **folders, **arguments, get_path_only=True)

    def encoder_files(self) -> list[Path]:
        """The files of the label encoder."""
        path = Path(self.encoder_path())
        return files_below(path) if path.is_dir() else [path]

    @property
    def tests_elsewhere(self) -> bool:
        """True if only checkpoints that are not of this training are tested."""
        entries = self.config["evaluate"].get("ckpts")
        if entries:
            return not any(isinstance(entry, int) or entry in (BEST, LAST, *OWN_AVERAGE) for entry in entries)
        folder = self.config["test_ckpt_dir"]
        return bool(folder) and folder not in OWN_AVERAGE

    def tested_checkpoints(self) -> list[Path]:
        """The checkpoints to test.

        Raises:
            CheckpointError: one does not exist or is damaged.
        """
        folder, steps = self.config["test_ckpt_dir"], self.config["test_ckpt_steps"]
        entries = self.config["evaluate"].get("ckpts") or ([folder] if folder else steps) or [BEST]
        return list(dict.fromkeys(map(self._checkpoint_of, entries)))

    def _checkpoint_of(self, entry: int | str) -> Path:
        """The checkpoint that an entry of ``evaluate.ckpts`` means: a step, best, last, average, or a folder."""
        if isinstance(entry, int):
            return self._checkpoint(entry)
        if entry == BEST:
            return store.best(self.train_dir)
        if entry == LAST:
            return store.newest(self.train_dir) or store.best(self.train_dir)  # the latter says that there is none
        return self._average() if entry in OWN_AVERAGE else find(Path(entry).absolute())

    def _checkpoint(self, step: int) -> Path:
        folder = self.train_dir / name_of(step)
        if not folder.is_dir():
            steps = ", ".join(str(step_of(p)) for p in store.steps_in(self.train_dir)) or "none"
            raise store.CheckpointError(f"{folder} does not exist; the steps with a checkpoint are: {steps}")
        return store.require(folder)

    def _average(self) -> Path:
        folder = self.train_dir / AVERAGE
        if not folder.is_dir():
            raise store.CheckpointError(
                f"{folder} does not exist; add --train.average best (or newest): stage 2 then writes it"
                " without training any further"
            )
        return store.require(folder)

    def results(self) -> Iterator[tuple[Path, str, Path]]:
        """Each checkpoint to test with each test set and the folder of its result."""
        for checkpoint in self.tested_checkpoints():
            for csv in self.csvs()[2]:
                yield checkpoint, csv, self.result_dir(checkpoint, csv)

    def result_dir(self, checkpoint: Path, csv: str) -> Path:
        """The folder of the result of a checkpoint on a test set."""
        is_own = checkpoint.parent == self.train_dir
        name = checkpoint.name if is_own else f"{checkpoint.name}@{sha256(checkpoint / store.MANIFEST)[:8]}"
        return self.evaluate_dir / name / Path(csv).stem


def check_ckpts(config: Mapping[str, Any]) -> None:
    """Refuse ``evaluate.ckpts`` that are no checkpoints, or beside other keys that name some.

    Raises:
        ConfigError: with the key and what was expected.
    """
    entries = config["evaluate"].get("ckpts")
    if entries is None:
        return
    expected = "expected steps, best, last, average or folders, e.g. [best, 1000]"
    if not entries:
        raise ConfigError(f"evaluate.ckpts is empty: {expected}; null tests the best checkpoint")
    for entry in entries:
        if isinstance(entry, bool) or not isinstance(entry, (int, str)):
            raise ConfigError(f"evaluate.ckpts has the entry {entry!r}: {expected}")
    for key in ("test_ckpt_dir", "test_ckpt_steps"):
        if config[key]:
            raise ConfigError(f"{key} and evaluate.ckpts each name checkpoints to test: set one of them")


def files_below(folder: Path) -> list[Path]:
    """The files in a folder and below, except hidden ones: a killed writer may have left them."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
