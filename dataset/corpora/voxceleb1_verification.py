"""VoxCeleb1 for speaker verification: its trials O, E and H (Nagrani et al., Interspeech 2017)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

from dataset.corpora.common.base import CorpusError, Row, Splits
from dataset.corpora.common.draw_trials import draw_trials, trial
from dataset.corpora.common.folders import absolute, audio_files, folders, lines, require_file, require_folder
from dataset.corpora.common.holdout import hashed
from dataset.corpora.common.voxceleb1 import VoxCeleb1
from dataset.setting import setting

# the cleaned list of each kind of trials, and the original one
LISTS = {
    "O": ("veri_test2.txt", "veri_test.txt"),
    "E": ("list_test_all2.txt", "list_test_all.txt"),
    "H": ("list_test_hard2.txt", "list_test_hard.txt"),
}


@dataclasses.dataclass
class VoxCeleb1Verification(VoxCeleb1):
    """Trials O (37 thousand of 40 speakers), E (all speakers) and H (all speakers, same nationality and gender).

    The lists are ``veri_test2.txt``, ``list_test_all2.txt`` and ``list_test_hard2.txt`` in ``root`` or, if they are
    missing, their first versions without the 2. A speaker of any trial is never trained on. E and H have trials of the
    whole corpus, so they need training data from elsewhere: ``train_root``, such as VoxCeleb2's.

    ``valid_speakers`` training speakers are held out; trials among them choose the best checkpoint.

    Columns: ``id, wav_path, speaker, spk`` for training; ``id1, id2, wav_path1, wav_path2, label`` for trials.
    """

    trials: list[str] = setting(["O"], "trials to test on, each with its own result: O, E, H")
    train_root: str | None = setting(None, "folder with <speaker>/<video>/<n>.wav to train on; null: VoxCeleb1's own")
    valid_speakers: int = setting(40, "training speakers held out for the validation trials", min=2)
    valid_trials: int = setting(10000, "validation trials, half of them of the same speaker", min=2)
    seed: int = setting(0, "seed for the speakers held out and their trials", min=0)

    def sources(self) -> list[Path]:
        """The lists of trials, and the folder of training audio."""
        lists = [self._root / file for name in self.trials for file in LISTS.get(name, ())]
        return [*lists, self._root if self.train_root is None else absolute(self.train_root)]

    def load(self, cache_dir: Path) -> Splits:
        """Training rows and trials."""
        self._fetch()
        roots = self._folders()
        test = {f"vox1_{name.lower()}": list(self._trials(name, roots)) for name in self.trials}
        tested = {row[key].partition("/")[0] for rows in test.values() for row in rows for key in ("id1", "id2")}
        speakers = {name for root in self._train_folders() for name in folders(root)} - tested
        if len(speakers) < self.valid_speakers + 2:
            raise CorpusError(
                f"{len(speakers)} speakers remain for training without those of the trials {', '.join(self.trials)}, "
                f"too few to hold out valid_speakers={self.valid_speakers}: set train_root to other speakers, or "
                "trials to [O]"
            )
        held_out = set(hashed(speakers, self.seed)[: self.valid_speakers])
        rows = [row for root in self._train_folders() for row in _utterances(root) if row["speaker"] in speakers]
        valid = draw_trials([row for row in rows if row["speaker"] in held_out], self.valid_trials, self.seed)
        train = [row | {"spk": row["speaker"]} for row in rows if row["speaker"] not in held_out]
        return Splits(train=train, valid=valid, test=test)

    def _train_folders(self) -> list[Path]:
        if self.train_root is not None:
            return [require_folder(absolute(self.train_root), "train_root")]
        return self._folders()

    def _listing(self, name: str) -> Path:
        if name not in LISTS:
            raise CorpusError(f"expected trials of O, E and H, got {name!r}")
        cleaned, original = (self._root / file for file in LISTS[name])
        return (
            original
            if original.is_file() and not cleaned.is_file()
            else require_file(cleaned, f"the list of VoxCeleb1's trials {name}")
        )

    def _trials(self, name: str, roots: list[Path]) -> Iterator[Row]:
        listing = self._listing(name)
        sides: dict[str, Row] = {}
        for number, (label, *names) in lines(listing, columns=3):
            if label not in ("0", "1"):
                raise CorpusError(f"{listing}, line {number}: expected a trial that opens with 0 or 1, got {label!r}")
            for side in names:
                if side not in sides:
                    sides[side] = self._row(side, roots, f"{listing}, line {number}")
            yield trial(sides[names[0]], sides[names[1]], label)


def _utterances(root: Path) -> Iterator[Row]:
    for file in audio_files(root):
        name = file.relative_to(root).with_suffix("").as_posix()
        yield {"id": name, "wav_path": str(file), "speaker": name.partition("/")[0]}
