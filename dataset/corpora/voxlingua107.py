"""VoxLingua107: 107 languages from YouTube (Valk and Alumäe, SLT 2021)."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from dataset.corpora.common.base import Corpus, CorpusError, Row, Splits
from dataset.corpora.common.folders import absolute, audio_files, choose_labels, folders, require_folder
from dataset.corpora.common.holdout import divide
from dataset.setting import REQUIRED, setting


@dataclasses.dataclass
class VoxLingua107(Corpus):
    """``root/<language>/<video>__U__S<speaker>---<from>-<to>.wav`` to train on, ``root/dev/<language>/...`` to test on.

    Whole videos of each language are held out for validation. Languages of ``dev`` that are not trained on are left
    out.

    Columns: ``id, wav_path, label`` (the language's code), ``video``.
    """

    dataset_root: str = setting(REQUIRED, "folder that holds a folder for each language, and dev")
    languages: list[str] = setting([], "codes of the languages to tell apart; []: all")
    valid_fraction: float = setting(
        0.02, "part of each language, in whole videos, held out for validation", min=0.001, max=0.5
    )

    def sources(self) -> list[Path]:
        """The folder."""
        return [absolute(self.dataset_root)]

    def load(self, cache_dir: Path) -> Splits:
        """Rows of every split."""
        root = absolute(self.dataset_root)
        present = [name for name in folders(require_folder(root, "VoxLingua107")) if name != "dev"]
        splits = Splits(train=[], valid=[], test={"test": []})
        for language in choose_labels(self.languages, present, root, "languages"):
            valid, train = divide(_recordings(root / language, language, root), "video", self.valid_fraction)
            splits.train += train
            splits.valid += valid
            if (require_folder(root / "dev", "VoxLingua107's test set") / language).is_dir():
                splits.test["test"] += _recordings(root / "dev" / language, language, root)
        return splits


def _recordings(folder: Path, language: str, root: Path) -> list[Row]:
    rows = []
    for file in audio_files(folder):
        name = file.relative_to(root).with_suffix("").as_posix()
        video = file.stem.partition("__U__")[0]
        rows.append({"id": name, "wav_path": str(file), "label": language, "video": video})
    if not rows:
        raise CorpusError(f"{folder} holds no audio")
    return rows
