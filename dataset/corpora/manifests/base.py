"""The base of the corpora that read another toolkit's manifests: its rows are divided as those of the user's CSVs."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

from dataset.corpora.common.base import CorpusError
from dataset.corpora.common.folders import absolute
from dataset.corpora.common.tables import Lines
from dataset.corpora.csv import Csv
from dataset.setting import REQUIRED, setting


@dataclasses.dataclass
class Manifests(Csv):
    """Sets that another toolkit has listed. They are divided, and their columns renamed, as by :class:`Csv`.

    Subclasses read a format. They give their columns the names that problems expect: ``id, wav_path, start_sec,
    end_sec, transcription, speaker``. All others are kept under their own names.
    """

    train: str = setting(REQUIRED, "manifest of the training utterances")
    valid: str | None = setting(None, "manifest to validate on; null: hold out valid_fraction of train")
    test: str | list | dict = setting([], "manifest or manifests to test on: a path, a list of paths, or {name: path}")

    def _lines(self, path: str) -> tuple[Path, Lines]:
        """The rows of a set, all with the same columns."""
        file, lines = self._parse(absolute(path))
        if not lines:
            raise CorpusError(f"{file} lists no utterance; expected at least one")
        columns = list(dict.fromkeys(name for _, row in lines for name in row))
        return file, [(number, {name: row.get(name, "") for name in columns}) for number, row in lines]

    def _parse(self, path: Path) -> tuple[Path, Lines]:
        """The file that errors name, and the number and the columns of each row."""
        raise NotImplementedError(f"{type(self).__name__} must read its format")

    def _name_of(self, path: str) -> str:
        """The file's name without all of its suffixes."""
        return Path(path).name.partition(".")[0]


def from_here(written: str, folder: Path) -> Path:
    """The audio that a path means: from the working directory, as Kaldi, ESPnet and lhotse do, if it is there.

    Otherwise a relative path starts in ``folder``, if the audio is there.
    """
    here = absolute(written)
    if os.path.isabs(written) or here.exists():
        return here
    there = absolute(written, folder)
    return there if there.exists() else here
