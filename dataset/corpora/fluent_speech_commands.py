"""Fluent Speech Commands: spoken commands with three slots (Lugosch et al., Interspeech 2019)."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from dataset.corpora.common.base import Corpus, CorpusError, Row, Splits
from dataset.corpora.common.folders import absolute, require_file
from dataset.corpora.common.tables import read_table
from dataset.setting import REQUIRED, setting

SLOTS = ("action", "object", "location")
COLUMNS = ("path", "speakerId", "transcription", *SLOTS)


@dataclasses.dataclass
class FluentSpeechCommands(Corpus):
    """``root/data/{train,valid,test}_data.csv`` and the ``root/wavs/speakers/<speaker>/<id>.wav`` that they list.

    Columns: ``id, wav_path, labels`` ("activate ; lights ; kitchen"), ``transcription, speaker``.
    """

    dataset_root: str = setting(REQUIRED, "folder that holds data and wavs")

    def sources(self) -> list[Path]:
        """The three tables."""
        return [self._table(split) for split in ("train", "valid", "test")]

    def load(self, cache_dir: Path) -> Splits:
        """Rows of every split."""
        train, valid, test = (self._rows(table) for table in self.sources())
        return Splits(train=train, valid=valid, test={"test": test})

    def _table(self, split: str) -> Path:
        return absolute(self.dataset_root) / "data" / f"{split}_data.csv"

    def _rows(self, table: Path) -> list[Row]:
        rows = []
        for number, line in read_table(require_file(table, "Fluent Speech Commands")):
            missing = [column for column in COLUMNS if column not in line]
            if missing or not line["path"]:
                problem = f"there is no column {missing[0]!r}" if missing else "the path is empty"
                raise CorpusError(f"{table}, line {number}: {problem}; it has {', '.join(line)}")
            rows.append(
                {
                    "id": Path(line["path"]).stem,
                    "wav_path": str(absolute(self.dataset_root) / line["path"]),
                    "labels": " ; ".join(line[slot] for slot in SLOTS),
                    "transcription": line["transcription"],
                    "speaker": line["speakerId"],
                }
            )
        return rows
