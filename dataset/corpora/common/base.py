"""The base of all corpora: settings in, rows of metadata out."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

Row = dict[str, str]  # one line of a metadata CSV: column -> text


class CorpusError(ValueError):
    """The files of a corpus do not match its settings or its layout."""


@dataclasses.dataclass
class Splits:
    """The rows of each split; ``test`` maps the name of each test set to its rows."""

    train: list[Row]
    valid: list[Row]
    test: dict[str, list[Row]]


@dataclasses.dataclass
class Corpus:
    """A corpus. Subclasses declare their settings as fields made by ``dataset.setting.setting``.

    The module of a corpus imports nothing heavy at its top: the command line lists its settings.
    """

    def sources(self) -> Iterable[Path]:
        """Files (hashed by content) and folders (hashed by file names) that :meth:`load` depends on.

        If one of them changes, stage 0 is stale.
        """
        return ()

    def made_audio(self, cache_dir: Path) -> list[Path]:
        """The folders in ``cache_dir`` that :meth:`load` fills with audio that the corpus makes."""
        return []

    def folds_of(self, number: int | None) -> list[dict[str, Any]]:
        """The settings that choose each fold, for a corpus that is divided into folds.

        Args:
            number: of folds; None: as many as the corpus has, or as its settings say.

        Raises:
            CorpusError: the corpus has no folds, or not that many.
        """
        raise CorpusError(f"the corpus {type(self).__name__} has no folds; csv has, with folds or fold_by")

    def load(self, cache_dir: Path) -> Splits:
        """Find every utterance.

        Args:
            cache_dir: a folder for audio that the corpus generates; the same settings find it there again.

        Returns:
            Rows with ``id`` and ``wav_path`` (absolute) and the columns of the problem. ``seconds`` may be absent:
            the caller reads it from the header of the audio file.

        Raises:
            CorpusError: with the file, row or setting that is wrong.
        """
        raise NotImplementedError

    def load_tests(self, cache_dir: Path) -> dict[str, list[Row]]:
        """The rows of each test set alone, for a model that is trained already. A corpus whose other sets are files of
        their own overrides it, so that these need not be given.
        """
        return self.load(cache_dir).test
