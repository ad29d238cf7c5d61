"""VoxCeleb1 for speaker identification: 1251 speakers, no video in two splits (Nagrani et al., Interspeech 2017)."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from dataset.corpora.common.base import CorpusError, Row, Splits
from dataset.corpora.common.folders import lines, require_file
from dataset.corpora.common.voxceleb1 import VoxCeleb1

SPLIT_FILE = "iden_split.txt"
SPLITS = {"1": "train", "2": "valid", "3": "test"}


@dataclasses.dataclass
class VoxCeleb1Identification(VoxCeleb1):
    """The splits of ``root/iden_split.txt``. All speakers are in each of them, no video is in two.

    Columns: ``id`` (``<speaker>/<video>/<n>``), ``wav_path, speaker, label`` (the speaker).
    """

    def sources(self) -> list[Path]:
        """The list of the splits."""
        return [self._root / SPLIT_FILE]

    def load(self, cache_dir: Path) -> Splits:
        """Rows of every split."""
        self._fetch()
        roots = self._folders()
        rows: dict[str, list[Row]] = {name: [] for name in SPLITS.values()}
        listing = require_file(self._root / SPLIT_FILE, "VoxCeleb1's splits for identification")
        for number, (split, name) in lines(listing, columns=2):
            if split not in SPLITS:
                raise CorpusError(f"{listing}, line {number}: expected a split of 1, 2 or 3, got {split!r}")
            row = self._row(name, roots, f"{listing}, line {number}")
            rows[SPLITS[split]].append(row | {"label": row["speaker"]})
        return Splits(train=rows["train"], valid=rows["valid"], test={"test": rows["test"]})
