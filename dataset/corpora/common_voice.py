"""Common Voice: sentences read by volunteers in many languages (Ardila et al., LREC 2020)."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from dataset.corpora.common.base import Corpus, CorpusError, Row, Splits
from dataset.corpora.common.folders import absolute, choose_labels, folders, require_file, require_folder
from dataset.corpora.common.tables import read_table
from dataset.setting import REQUIRED, setting

TABLES = ("train", "dev", "test")


@dataclasses.dataclass
class CommonVoice(Corpus):
    """``root/<language>/{train,dev,test}.tsv`` and ``root/<language>/clips/*.mp3``.

    The splits are the corpus's own, in which no speaker is in two. ``max_clips`` limits each language, since some have
    a thousand times the clips of others.

    Columns: ``id, wav_path, label`` (the folder's name), ``transcription, speaker``.
    """

    dataset_root: str = setting(REQUIRED, "folder that holds a folder for each language")
    languages: list[str] = setting([], "folders of the languages to tell apart; []: all")
    max_clips: int | None = setting(
        None, "clips of each language and split, from the top of its table; null: all", min=1
    )

    def sources(self) -> list[Path]:
        """Every table."""
        return [self._root / language / f"{name}.tsv" for language in self._chosen() for name in TABLES]

    def load(self, cache_dir: Path) -> Splits:
        """Rows of every split."""
        train, valid, test = (
            [row for language in self._chosen() for row in self._rows(language, name)] for name in TABLES
        )
        return Splits(train=train, valid=valid, test={"test": test})

    @property
    def _root(self) -> Path:
        return absolute(self.dataset_root)

    def _chosen(self) -> list[str]:
        names = folders(require_folder(self._root, "Common Voice"))
        present = [name for name in names if (self._root / name / "clips").is_dir()]
        return choose_labels(self.languages, present, self._root, "languages")

    def _rows(self, language: str, table: str) -> list[Row]:
        path = require_file(self._root / language / f"{table}.tsv", "Common Voice")
        rows = []
        for number, line in read_table(path)[: self.max_clips]:
            missing = [column for column in ("path", "client_id", "sentence") if column not in line]
            if missing:
                raise CorpusError(f"{path}, line {number}: there is no column {missing[0]!r}; it has {', '.join(line)}")
            name = line["path"] if Path(line["path"]).suffix else f"{line['path']}.mp3"
            rows.append(
                {
                    "id": f"{language}/{Path(name).stem}",
                    "wav_path": str(self._root / language / "clips" / name),
                    "label": language,
                    "transcription": line["sentence"],
                    "speaker": line["client_id"],
                }
            )
        return rows
