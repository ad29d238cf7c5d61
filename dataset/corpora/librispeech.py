"""LibriSpeech: read English audiobooks, in the layout of its archives (Panayotov et al., ICASSP 2015)."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path

from dataset.corpora.common.base import Corpus, CorpusError, Row, Splits
from dataset.corpora.common.folders import absolute, folders
from dataset.setting import REQUIRED, setting


@dataclasses.dataclass
class LibriSpeech(Corpus):
    """Folders ``root/<split>/<speaker>/<chapter>``, each with one ``<speaker>-<chapter>.trans.txt`` and a
    ``<speaker>-<chapter>-<utterance>.flac`` for each of its lines (openslr.org/12).

    Columns: ``id, wav_path, transcription`` (upper case, as in the corpus), ``speaker`` and ``gender`` (``F`` or ``M``
    from ``SPEAKERS.TXT``; empty without it). Every test set has its own result. A validation set may also be a test
    set; a training set may be neither.
    """

    dataset_root: str = setting(REQUIRED, "folder that holds SPEAKERS.TXT and a folder per split")
    train_sets: list[str] = setting(["train-clean-100"], "splits to train on, together")
    valid_sets: list[str] = setting(["dev-clean"], "splits to validate on, together")
    test_sets: list[str] = setting(["test-clean"], "splits to test on, each with its own result")

    def sources(self) -> list[Path]:
        """Every transcript file, and ``SPEAKERS.TXT``."""
        self._check_sets()
        files = [self._root / "SPEAKERS.TXT"] if (self._root / "SPEAKERS.TXT").is_file() else []
        for split in dict.fromkeys([*self.train_sets, *self.valid_sets, *self.test_sets]):
            for folder, names in self._chapters(split):
                files.extend(Path(folder, name) for name in names if name.endswith(".trans.txt"))
        return files

    def load(self, cache_dir: Path) -> Splits:
        """Rows of every split."""
        self._check_sets()
        genders = self._genders()
        rows = {
            split: self._rows(split, genders)
            for split in dict.fromkeys([*self.train_sets, *self.valid_sets, *self.test_sets])
        }
        return Splits(
            train=[row for split in self.train_sets for row in rows[split]],
            valid=[row for split in self.valid_sets for row in rows[split]],
            test={split: rows[split] for split in self.test_sets},
        )

    @property
    def _root(self) -> Path:
        return absolute(self.dataset_root)

    def _check_sets(self) -> None:
        sets = {"train_sets": self.train_sets, "valid_sets": self.valid_sets, "test_sets": self.test_sets}
        for name, splits in sets.items():
            if isinstance(splits, str) or not splits:
                raise CorpusError(f"{name} must be a list of at least one split of LibriSpeech, got {splits!r}")
            twice = sorted({split for split in splits if splits.count(split) > 1})
            if twice:
                raise CorpusError(f"{name} lists {', '.join(twice)} more than once")
        for name in ("valid_sets", "test_sets"):
            both = [split for split in self.train_sets if split in sets[name]]
            if both:
                raise CorpusError(f"{', '.join(both)} is in train_sets and in {name}: remove it from one of them")

    def _chapters(self, split: str) -> Iterator[tuple[str, list[str]]]:
        """Each chapter's folder and the names of its files, in order of speaker and chapter."""
        top = self._root / split
        if not top.is_dir():
            hint = ""
            if (self._root / "LibriSpeech" / split).is_dir():
                hint = f"; did you mean dataset_root={self._root / 'LibriSpeech'}?"
            elif self._root.is_dir():
                hint = f"; {self._root} holds: {', '.join(folders(self._root)) or 'no folder'}"
            raise CorpusError(f"LibriSpeech has no split {split!r}: {top} is not a folder{hint}")
        for speaker in folders(top):
            for chapter in folders(top / speaker):
                folder = f"{top}/{speaker}/{chapter}"
                yield folder, sorted(os.listdir(folder))

    def _rows(self, split: str, genders: dict[str, str]) -> list[Row]:
        rows: list[Row] = []
        for folder, names in self._chapters(split):
            speaker, chapter = folder.split("/")[-2:]
            transcript = f"{folder}/{speaker}-{chapter}.trans.txt"
            texts = _transcripts(transcript) if os.path.basename(transcript) in names else {}
            audio = {name.removesuffix(".flac") for name in names if name.endswith(".flac")}
            untranscribed = sorted(audio - texts.keys())
            if untranscribed:
                more = f" (and {len(untranscribed) - 1} more of that chapter)" if len(untranscribed) > 1 else ""
                raise CorpusError(f"{folder}/{untranscribed[0]}.flac{more} has no line in {transcript}")
            missing = sorted(texts.keys() - audio)
            if missing:
                more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
                raise CorpusError(
                    f"{transcript} has the text of {missing[0]}{more}, but there is no such .flac in its folder"
                )
            for utterance, text in sorted(texts.items()):
                rows.append(
                    {
                        "id": utterance,
                        "wav_path": f"{folder}/{utterance}.flac",
                        "transcription": text,
                        "speaker": speaker,
                        "gender": genders.get(speaker, ""),
                    }
                )
        if not rows:
            raise CorpusError(f"LibriSpeech's split {self._root / split} holds no utterances")
        return rows

    def _genders(self) -> dict[str, str]:
        path = self._root / "SPEAKERS.TXT"
        if not path.is_file():
            return {}
        fields = (line.split("|") for line in path.read_text("utf-8").splitlines() if not line.startswith(";"))
        return {field[0].strip(): field[1].strip() for field in fields if len(field) > 1}


def _transcripts(path: str) -> dict[str, str]:
    """The texts by utterance in a file of lines ``<utterance> <TEXT>``."""
    texts: dict[str, str] = {}
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            utterance, _, text = line.strip().partition(" ")
            if not utterance:
                continue
            if utterance in texts:
                raise CorpusError(f"{path}, line {number}: {utterance} is listed twice")
            texts[utterance] = text.strip()
    return texts
