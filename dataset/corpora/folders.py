"""The user's audio in a folder for each label."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from dataset.corpora.common.base import Corpus, CorpusError, Row, Splits
from dataset.corpora.common.folders import absolute, audio_files, folders, require_folder
from dataset.corpora.common.holdout import hold_out
from dataset.setting import REQUIRED, setting

SPLITS = {
    "train": ("train", "training"),
    "valid": ("valid", "validation", "val", "dev"),
    "test": ("test", "testing", "eval"),
}


@dataclasses.dataclass
class Folders(Corpus):
    """``root/<label>/**/<name>.wav`` (or flac, ogg, mp3), or the same below ``root/train``, ``valid`` and ``test``.

    The first folder below the label, if there is one, is the column ``group``: a speaker, a session, a video. Groups of
    the same name, under one label or several, are never divided between splits (``split_by_group``). A split without a
    folder is held out of train: the same part of the groups of each label, chosen by a hash.

    Columns: ``id`` (the path below the root without its suffix), ``wav_path, label, group``.
    """

    dataset_root: str = setting(REQUIRED, "folder with a folder for each label, or with train, valid and test")
    valid_fraction: float = setting(
        0.1, "part held out for validation if there is no folder for it", min=0.001, max=0.9
    )
    test_fraction: float = setting(0.1, "part held out for testing if there is no folder for it", min=0.001, max=0.9)
    split_by_group: bool = setting(True, "keep the folders below the labels (speakers, sessions) whole")
    ignore: list[str] = setting([], "folders that are not labels, such as _background_noise_")
    seed: int = setting(0, "another seed holds out other utterances", min=0)

    def sources(self) -> list[Path]:
        """The folder."""
        return [self._root]

    def load(self, cache_dir: Path) -> Splits:
        """Rows of every split."""
        split_folders = self._split_folders()
        if "train" in split_folders:
            rows = {split: self._rows(path) for split, path in split_folders.items()}
        elif split_folders:
            raise CorpusError(f"{self._root} has a folder for {', '.join(split_folders)} but none called train")
        else:
            rows = {"train": self._rows(self._root)}
        whole = len(rows["train"])
        for split, fraction in (("test", self.test_fraction), ("valid", self.valid_fraction)):
            if split not in rows:
                rows[split], rows["train"] = self._hold_out(rows["train"], fraction * whole, split)
        return Splits(train=rows["train"], valid=rows["valid"], test={"test": rows["test"]})

    @property
    def _root(self) -> Path:
        return absolute(self.dataset_root)

    def _split_folders(self) -> dict[str, Path]:
        present = folders(require_folder(self._root, "a folder for each label"))
        split_folders = {}
        for split, names in SPLITS.items():
            named = [name for name in present if name.lower() in names]
            if len(named) > 1:
                raise CorpusError(f"{self._root} has several folders for {split}: {', '.join(named)}; keep one")
            if named:
                split_folders[split] = self._root / named[0]
        return split_folders

    def _rows(self, top: Path) -> list[Row]:
        labels = [name for name in folders(top) if name not in self.ignore]
        if len(labels) < 2:
            raise CorpusError(f"{top}: expected a folder for each of at least two labels, got {labels}")
        rows = []
        for label in labels:
            files = list(audio_files(top / label))
            if not files:
                raise CorpusError(f"{top / label} holds no wav, flac, ogg or mp3; add its name to ignore, or remove it")
            for file in files:
                below = file.relative_to(top / label).parts
                row = {"id": file.relative_to(self._root).with_suffix("").as_posix(), "wav_path": str(file)}
                rows.append(row | {"label": label, "group": below[0] if len(below) > 1 else ""})
        return rows

    def _hold_out(self, rows: list[Row], number: float, split: str) -> tuple[list[Row], list[Row]]:
        """About ``number`` of the rows, and the others."""
        sizes: dict[str, int] = {}
        labels: dict[str, set[str]] = {}
        for row in rows:
            sizes[self._group(row)] = sizes.get(self._group(row), 0) + 1
            labels.setdefault(self._group(row), set()).add(row["label"])
        # groups of one label are held out label by label; those that cross labels, such as speakers, from all
        crossing = any(len(names) > 1 for names in labels.values())
        strata = None if crossing else {group: next(iter(names)) for group, names in labels.items()}
        chosen = hold_out(sizes, number, self.seed, strata)
        if not chosen:
            raise CorpusError(
                f"{self._root}: {len(sizes)} groups are too few to hold out a {split} set; put that into its own "
                f"folder {split}, or set split_by_group to false"
            )
        held_out = [row for row in rows if self._group(row) in chosen]
        return held_out, [row for row in rows if self._group(row) not in chosen]

    def _group(self, row: Row) -> str:
        return f"group {row['group']}" if self.split_by_group and row["group"] else row["id"]
