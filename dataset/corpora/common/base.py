"""What every corpus is: settings in, rows of metadata out."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path

Row = dict[str, str]  # one line of a metadata CSV: column -> text


class CorpusError(ValueError):
    """A corpus is not where, or not what, its settings say."""


@dataclasses.dataclass
class Splits:
    """The rows of each split; ``test`` maps the name of each test set to its rows."""

    train: list[Row]
    valid: list[Row]
    test: dict[str, list[Row]]


@dataclasses.dataclass
class Corpus:
    """A corpus. Subclasses declare their settings as fields made by ``dataset.setting.option``.

    A corpus imports nothing heavy at the top of its module: the command line lists its settings.
    """

    def sources(self) -> Iterable[Path]:
        """The files whose content decides what :meth:`load` returns, and folders whose files' names do.

        A change in one makes stage 0 stale.
        """
        return ()

    def load(self, cache_dir: Path) -> Splits:
        """Find every utterance.

        Args:
            cache_dir: a folder that the corpus may fill with audio that it makes; the same settings find it again.

        Returns:
            Rows with ``id`` and ``wav_path`` (absolute) and the columns of the problem. ``seconds`` may be left
            out: the caller reads it from the audio's header.
        """
        raise NotImplementedError
