"""Corpora of many languages, a folder for each: VoxLingua107 and Common Voice."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from dataset.corpora.common.base import Corpus, CorpusError, Row, Splits
from dataset.corpora.common.folders import absolute, audio_files, folders, require_file, require_folder
from dataset.corpora.common.holdout import divide
from dataset.corpora.common.tables import read_table
from dataset.setting import REQUIRED, setting


@dataclasses.dataclass
class VoxLingua107(Corpus):
    """``root/<language>/<video>__U__S<speaker>---<from>-<to>.wav``, and ``root/dev/<language>/...`` to test on
    (Valk and Alumäe, SLT 2021).

    Validation is by whole videos held out of training, language by language. Every language to test must be among
    those to train on; others of ``dev`` are left out.

    Columns: ``id, wav_path, label`` (the language's code), ``video``.
    """

    dataset_root: str = setting(REQUIRED, "folder that holds a folder for each language, and dev")
    languages: list[str] = setting([], "languages to tell apart, by their codes; []: all that are there")
    valid_fraction: float = setting(
        0.02, "part of each language, in whole videos, held out for validation", min=0.001, max=0.5
    )

    def sources(self) -> list[Path]:
        """The folders: their lists of files count."""
        return [absolute(self.dataset_root)]

    def load(self, cache_dir: Path) -> Splits:
        """Rows of every split; a CorpusError names the language that has no audio."""
        root = absolute(self.dataset_root)
        there = [name for name in folders(require_folder(root, "VoxLingua107")) if name != "dev"]
        splits = Splits(train=[], valid=[], test={"test": []})
        for language in _wanted(self.languages, there, root):
            valid, train = divide(_recordings(root / language, language, root), "video", self.valid_fraction)
            splits.train += train
            splits.valid += valid
            if (require_folder(root / "dev", "VoxLingua107's test set") / language).is_dir():
                splits.test["test"] += _recordings(root / "dev" / language, language, root)
        return splits


@dataclasses.dataclass
class CommonVoice(Corpus):
    """``root/<language>/{train,dev,test}.tsv`` and ``root/<language>/clips/*.mp3`` (Ardila et al., LREC 2020).

    The corpus's own split, in which no speaker is in two parts. ``max_clips`` bounds each language, since some have a
    thousand times the clips of others.

    Columns: ``id, wav_path, label`` (the folder's name), ``transcription, speaker``.
    """

    dataset_root: str = setting(REQUIRED, "folder that holds a folder for each language")
    languages: list[str] = setting([], "languages to tell apart, by their folders; []: all that are there")
    max_clips: int | None = setting(None, "clips of each language and split, the first of its table; null: all", min=1)

    def sources(self) -> list[Path]:
        """Every table."""
        return [
            self._root / language / f"{split}.tsv" for language in self._chosen() for split in ("train", "dev", "test")
        ]

    def load(self, cache_dir: Path) -> Splits:
        """Rows of every split; a CorpusError names the table that is missing, or lacks a column."""
        train, valid, test = (
            [row for language in self._chosen() for row in self._rows(language, split)]
            for split in ("train", "dev", "test")
        )
        return Splits(train=train, valid=valid, test={"test": test})

    @property
    def _root(self) -> Path:
        return absolute(self.dataset_root)

    def _chosen(self) -> list[str]:
        there = folders(require_folder(self._root, "Common Voice"))
        return _wanted(self.languages, [name for name in there if (self._root / name / "clips").is_dir()], self._root)

    def _rows(self, language: str, split: str) -> list[Row]:
        table = require_file(self._root / language / f"{split}.tsv", "Common Voice")
        rows = []
        for number, line in read_table(table)[: self.max_clips]:
            missing = [column for column in ("path", "client_id", "sentence") if column not in line]
            if missing:
                raise CorpusError(
                    f"{table}, line {number}: there is no column {missing[0]!r}; it has {', '.join(line)}"
                )
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


def _wanted(languages: list[str], there: list[str], root: Path) -> list[str]:
    missing = [language for language in languages if language not in there]
    chosen = languages or there
    if missing or len(chosen) < 2:
        what = f"no folder for {', '.join(missing)}" if missing else "fewer than two languages"
        raise CorpusError(f"{root} has {what}; it has {', '.join(there) or 'none'}; look at dataset_root and languages")
    return chosen


def _recordings(folder: Path, language: str, root: Path) -> list[Row]:
    rows = []
    for file in audio_files(folder):
        video = re.split(r"__U__", file.stem)[0]
        name = file.relative_to(root).with_suffix("").as_posix()
        rows.append({"id": name, "wav_path": str(file), "label": language, "video": video})
    if not rows:
        raise CorpusError(f"{folder} holds no audio")
    return rows
