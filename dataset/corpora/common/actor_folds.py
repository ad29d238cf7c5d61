"""Corpora of acted emotions, divided into folds of actors."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from dataset.corpora.common.base import Corpus, CorpusError, Row, Splits
from dataset.corpora.common.folders import absolute, audio_files, require_folder
from dataset.setting import REQUIRED, setting


@dataclasses.dataclass
class ActorFolds(Corpus):
    """Deals the actors, in order of their numbers, to the folds in turn. No actor is in two splits.

    One fold is for testing, the next one for validation, the others are for training. A subclass reads the names of
    the files.
    """

    dataset_root: str = setting(REQUIRED, "folder that holds the recordings, at any depth")
    folds: int = setting(5, "number of folds", min=3)
    test_fold: int = setting(0, "the fold to test on, from 0; the next one is for validation", min=0)

    def sources(self) -> list[Path]:
        """The folder."""
        return [absolute(self.dataset_root)]

    def folds_of(self, number: int | None) -> list[dict[str, Any]]:
        """The settings of each fold."""
        number = number or self.folds
        return [{"folds": number, "test_fold": fold} for fold in range(number)]

    def load(self, cache_dir: Path) -> Splits:
        """Rows of every split."""
        root = require_folder(absolute(self.dataset_root), type(self).__name__)
        rows = [row for file in audio_files(root) if (row := self._row(file)) is not None]
        actors = sorted({row["speaker"] for row in rows})
        if len(actors) < self.folds or self.test_fold >= self.folds:
            raise CorpusError(
                f"{root} has {len(actors)} actors; folds is {self.folds} and test_fold is {self.test_fold}: expected "
                "at least one actor for each fold, and a test_fold below folds"
            )
        split_of_fold = {self.test_fold: "test", (self.test_fold + 1) % self.folds: "valid"}
        splits: dict[str, list[Row]] = {"train": [], "valid": [], "test": []}
        fold_of = {actor: number % self.folds for number, actor in enumerate(actors)}
        for row in rows:
            splits[split_of_fold.get(fold_of[row["speaker"]], "train")].append(row)
        return Splits(train=splits["train"], valid=splits["valid"], test={"test": splits["test"]})

    def _row(self, file: Path) -> Row | None:
        """The row of a recording; None for one that does not belong to the corpus."""
        raise NotImplementedError(f"{type(self).__name__} must read the names of its files")
