"""A corpus that the verb ``pack`` has written."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

from dataset.corpora.common.base import Corpus, CorpusError, Row, Splits
from dataset.corpora.common.folders import absolute
from dataset.setting import REQUIRED, setting


@dataclasses.dataclass
class Packed(Corpus):
    """The rows that stage 0 wrote for any problem and ``pack`` packed: their audio is in shards."""

    dataset_root: str = setting(REQUIRED, "folder that the command pack wrote")
    shards: str | None = setting(
        None, "folder or URL of the shards, such as s3://bucket/folder; null: beside their CSVs in dataset_root"
    )

    def sources(self) -> list[Path]:
        """The list of the sets, and their CSVs."""
        from dataset.packing.pack import LIST

        return [self._root / LIST, *(self._csv(name) for name in self._sets())]

    def load(self, cache_dir: Path) -> Splits:
        """Rows of every split."""
        sets = {name: self._rows(name) for name in self._sets()}
        return Splits(train=sets.pop("train"), valid=sets.pop("valid"), test=sets)

    @property
    def _root(self) -> Path:
        return absolute(self.dataset_root)

    def _csv(self, name: str) -> Path:
        return self._root / f"{name}.csv"

    def _sets(self) -> list[str]:
        from dataset.packing.pack import LIST, read_list

        try:
            names = read_list(self._root)
            sets, is_complete = list(names["sets"]), names["complete"]
        except FileNotFoundError:
            raise CorpusError(
                f"dataset_root: {self._root} has no {LIST}; expected a folder that the command pack wrote"
            ) from None
        except (ValueError, KeyError, TypeError) as error:
            raise CorpusError(f"{self._root / LIST} is damaged ({error}); run `pack` again") from error
        if not is_complete:
            raise CorpusError(f"{self._root}: packing was not finished; run the same `pack` command again")
        return sets

    def _rows(self, name: str) -> list[Row]:
        from dataset.metadata import PATH_COLUMNS, read_csv

        table = read_csv(self._csv(name), (), may_be_empty=True)
        for column in PATH_COLUMNS:
            if column in table:
                table[column] = [self._places(cell) for cell in table[column]]
        return table.to_dict("records")

    def _places(self, cell: str) -> str:
        """The places in a cell, which names those of an enrolment one after the other."""
        from dataset import SEPARATOR
        from dataset.places.names import absolute, join

        folder = self._root if self.shards is None else absolute(os.path.expanduser(self.shards))
        return SEPARATOR.join(join(folder, os.path.basename(place)) for place in cell.split(SEPARATOR))
