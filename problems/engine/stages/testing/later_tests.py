"""Tests on sets that a training did not have: the folder and the stage 0 of a run with ``test_data``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dataset.corpora import CorpusError
from dataset.setting import REQUIRED
from dataset.storage.files import write_text
from dataset.wording import nearest
from problems.engine.config.schema import fields_of
from problems.engine.runtime.errors import ConfigError
from problems.engine.stages.freshness.fingerprint import Fingerprint
from problems.engine.stages.prepare_data import PrepareData
from problems.engine.stages.target_folder import TargetFolder

SETTINGS = {"min_seconds": 0.05, "skip_bad": False}
"""Settings of ``test_data`` beside those of its corpus, and their defaults: those of ``prepare_data``."""
OTHER_SETS = ("train", "valid")
"""Settings of a corpus that tests do not need."""


class TestFolder(TargetFolder):
    """The files of a run with ``test_data``.

    The training and the validation set are those of the training, if the first checkpoint lies in its target folder;
    else they are empty. Nothing is written there.
    """

    __test__ = False  # its name is not that of a test

    def __init__(self, problem: Any, config: Mapping[str, Any]):
        super().__init__(problem, config)
        if not self.tests_elsewhere:
            raise ConfigError(
                "test_data needs the checkpoints to test: set evaluate.ckpts to their folders, or use the command"
                " test --ckpt DIR --data FILE"
            )
        self.checkpoint = self.tested_checkpoints()[0]
        root = training_of(self.checkpoint)
        self.training = None if root is None else TargetFolder(problem, {**config, "target_dir": str(root)})

    @property
    def read_root(self) -> Path:
        """The target folder of the training, if it is there."""
        return self.root if self.training is None else self.training.root

    def csvs(self) -> tuple[str, str, list[str]]:
        """The CSVs of the training and of its validation, and those of the tests."""
        from dataset import prepare

        own = prepare.paths(self.root)
        train, valid = own[:2] if self.training is None else self.training.csvs()[:2]
        return train, valid, own[2]

    def encoder_path(self) -> str:
        """The label encoder in the checkpoint, or that of the training if the checkpoint has none."""
        own = self.checkpoint / "task" / "encoder"
        return str(own) if own.exists() or self.training is None else self.training.encoder_path()


class PrepareTests(PrepareData):
    """Reads the test sets of ``test_data``, and leaves ``data/*.csv``."""

    def inputs(self) -> list[Path]:
        """The sources of the corpus."""
        return list(map(Path, self._corpus().sources()))

    def settings(self) -> dict[str, Any]:
        """``test_data``."""
        return {"test_data": self.config["test_data"]}

    def outputs(self) -> list[Path]:
        """The CSVs of the tests."""
        return [Path(csv) for csv in self.folder.csvs()[2]]

    def final_fingerprint(self, before: Fingerprint) -> Fingerprint:
        """``before``: these sources are the user's own."""
        return before

    def run(self, device: str, fingerprint: Fingerprint | None) -> None:
        """Write the CSVs; without a target folder of the training, also empty ones of the other sets."""
        from dataset import prepare
        from dataset.audio import AudioError
        from dataset.metadata import FIRST_COLUMNS

        settings = SETTINGS | dict(self.config["test_data"])
        folders = {"target_dir": self.folder.root, "cache_dir": self.folder.cache}
        try:
            tests = self._corpus().load_tests(self.folder.cache)
            prepare.write_tests(tests, settings, self.problem.columns, **folders)
            paths = self.folder.csvs()
            for csv in map(Path, paths[:2]):
                if csv.parent == self.output_dir:
                    write_text(csv, ",".join((*FIRST_COLUMNS, *self.problem.columns)) + "\n")
            if self.problem.unscored:
                prepare.require_references(paths, *self.problem.unscored)
        except (CorpusError, AudioError) as error:  # these settings are called otherwise here
            raise type(error)(str(error).replace("prepare_data", "test_data")) from error

    def _corpus(self) -> Any:
        """The corpus that ``test_data`` names: by default the one that reads a user's own files for this problem.

        Raises:
            ConfigError: a setting is unknown or missing.
        """
        section = {"corpus": self.problem.own_corpus} | dict(self.config["test_data"])
        corpus = self.problem.corpus(section)
        if corpus is None:
            raise ConfigError(f"test_data.corpus is {section['corpus']!r}: expected a corpus, such as csv")
        defaults = {field.name: default for field, default in fields_of(type(corpus))}
        for name in section:
            if name not in (*defaults, *SETTINGS, "corpus"):
                known = ", ".join((*defaults, *SETTINGS))
                raise ConfigError(f"test_data.{name}{nearest(name, defaults)}: {section['corpus']} has {known}")
        for name, value in vars(corpus).items():
            if isinstance(value, str) and value == REQUIRED and name not in OTHER_SETS:
                raise ConfigError(f"test_data.{name} is missing: the corpus {section['corpus']} needs it")
        return corpus


def training_of(checkpoint: Path) -> Path | None:
    """The target folder of the training that left a checkpoint; None if it lies elsewhere, as an exported one does."""
    root = checkpoint.parent.parent
    return root if checkpoint.parent.name == "train" and (root / "stages.json").is_file() else None
