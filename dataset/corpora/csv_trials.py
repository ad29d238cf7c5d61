"""The user's own CSV files for speaker verification."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from dataset.corpora.base import CorpusError, Row, Splits
from dataset.corpora.csv import Csv
from dataset.corpora.trials import draw_trials
from dataset.option import option


@dataclasses.dataclass
class CsvTrials(Csv):
    """Utterances with a column ``spk``, as :class:`Csv` reads and divides them; speakers are never divided.

    What ``Csv`` takes for validation and testing becomes trials: pairs of utterances, half of them of one speaker.
    """

    num_trials: int = option(10000, "validation trials, and trials of each test set, half of one speaker", min=2)
    split_by: str = option("spk", "column whose groups are never divided between splits")

    def load(self, cache_dir: Path) -> Splits:
        """Rows to train on; trials with ``id1, id2, wav_path1, wav_path2, label``."""
        splits = super().load(cache_dir)
        for row in [*splits.train[:1], *splits.valid[:1], *(row for rows in splits.test.values() for row in rows[:1])]:
            if "spk" not in row:
                raise CorpusError(
                    f"there is no column 'spk' in {self.train}; set columns: {{spk: your column of speakers}}"
                )
        test = {name: self._drawn(rows, name) for name, rows in splits.test.items()}
        return Splits(train=splits.train, valid=self._drawn(splits.valid, "valid"), test=test)

    def _drawn(self, rows: list[Row], name: str) -> list[Row]:
        try:
            return draw_trials(rows, self.num_trials, f"{self.seed}/{name}", "spk")
        except CorpusError as error:
            raise CorpusError(f"the {name} set of {self.train}: {error}") from None
