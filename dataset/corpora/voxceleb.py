"""VoxCeleb1 (Nagrani et al., Interspeech 2017): its split for identification, its trials for verification."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

from dataset.corpora.common.base import Corpus, CorpusError, Row, Splits
from dataset.corpora.common.download import fetch
from dataset.corpora.common.draw_trials import draw_trials, trial
from dataset.corpora.common.folders import absolute, audio_files, existing, folders, lines, require_file, require_folder
from dataset.corpora.common.holdout import hashed
from dataset.setting import REQUIRED, setting

SPLIT_FILE = "iden_split.txt"
SPLITS = {"1": "train", "2": "valid", "3": "test"}
WAV_FOLDERS = ("wav", "dev/wav", "test/wav")  # of archives unpacked together, and apart
# the cleaned lists of trials and, where they are not there, the original ones
TRIALS = {
    "O": ("veri_test2.txt", "veri_test.txt"),
    "E": ("list_test_all2.txt", "list_test_all.txt"),
    "H": ("list_test_hard2.txt", "list_test_hard.txt"),
}


@dataclasses.dataclass
class _VoxCeleb1(Corpus):
    """``root/wav/<speaker>/<video>/<n>.wav``, or ``root/dev/wav`` and ``root/test/wav``; lists in ``root``."""

    dataset_root: str = setting(REQUIRED, "folder that holds wav, or dev and test, and the lists")
    download: bool = setting(False, "download the corpus into dataset_root where it is not there (36 GB)")

    @property
    def _root(self) -> Path:
        return absolute(self.dataset_root)

    def _fetch(self) -> None:
        if self.download:
            fetch(self._root, _get)

    def _folders(self) -> list[Path]:
        found = [self._root / name for name in WAV_FOLDERS if (self._root / name).is_dir()]
        return found or [require_folder(self._root / "wav", "VoxCeleb1's audio")]

    def _row(self, name: str, roots: list[Path], where: str) -> Row:
        """The row of ``<speaker>/<video>/<n>.wav``."""
        path = next((found for root in roots if (found := existing(root / name))), None)
        if path is None:
            raise CorpusError(f"{where}: there is no audio {name} in {' or '.join(map(str, roots))}")
        return {"id": name.rpartition(".")[0], "wav_path": str(path), "speaker": name.partition("/")[0]}


@dataclasses.dataclass
class VoxCeleb1Identification(_VoxCeleb1):
    """The split of ``root/iden_split.txt``: all 1251 speakers in each part, no video in two.

    Columns: ``id`` (``<speaker>/<video>/<n>``), ``wav_path, speaker, label`` (the speaker).
    """

    def sources(self) -> list[Path]:
        """The list of the split."""
        return [self._root / SPLIT_FILE]

    def load(self, cache_dir: Path) -> Splits:
        """Rows of every split; a CorpusError names the line, and the audio that is missing."""
        self._fetch()
        roots, found = self._folders(), {name: [] for name in SPLITS.values()}
        listing = require_file(self._root / SPLIT_FILE, "VoxCeleb1's split for identification")
        for number, (split, name) in lines(listing, columns=2):
            if split not in SPLITS:
                raise CorpusError(f"{listing}, line {number}: a split is 1, 2 or 3, got {split!r}")
            row = self._row(name, roots, f"{listing}, line {number}")
            found[SPLITS[split]].append(row | {"label": row["speaker"]})
        return Splits(train=found["train"], valid=found["valid"], test={"test": found["test"]})


@dataclasses.dataclass
class VoxCeleb1Verification(_VoxCeleb1):
    """Trials O (37 thousand of 40 speakers), E (all speakers) and H (the same, of equal nationality and gender).

    The lists are ``veri_test2.txt``, ``list_test_all2.txt`` and ``list_test_hard2.txt`` in ``root`` or, without the 2,
    their first versions. A speaker of any trial is never trained on; so E and H, whose trials are of the
    whole corpus, need training data from elsewhere: ``train_root``, such as VoxCeleb2's.

    ``valid_speakers`` training speakers are held out; trials among them choose the best checkpoint.

    Columns: ``id, wav_path, speaker, spk`` to train on; ``id1, id2, wav_path1, wav_path2, label`` of trials.
    """

    trials: list[str] = setting(["O"], "trials to test on, each with a result of its own: O, E, H")
    train_root: str | None = setting(None, "folder with <speaker>/<video>/<n>.wav to train on; null: VoxCeleb1's own")
    valid_speakers: int = setting(40, "training speakers held out for the validation trials", min=2)
    valid_trials: int = setting(10000, "validation trials, half of them of one speaker", min=2)
    seed: int = setting(0, "which speakers are held out, and which trials are made of them", min=0)

    def sources(self) -> list[Path]:
        """The lists of trials, and the folder that is trained on."""
        lists = [self._root / file for name in self.trials for file in TRIALS.get(name, ())]
        return [*lists, self._root if self.train_root is None else absolute(self.train_root)]

    def load(self, cache_dir: Path) -> Splits:
        """Rows and trials; a CorpusError names the line, and the audio that is missing."""
        self._fetch()
        roots = self._folders()
        test = {f"vox1_{name.lower()}": list(self._trials(name, roots)) for name in self.trials}
        tested = {row[key].partition("/")[0] for rows in test.values() for row in rows for key in ("id1", "id2")}
        speakers = {name for root in self._train_folders() for name in folders(root)} - tested
        if len(speakers) < self.valid_speakers + 2:
            raise CorpusError(
                f"{len(speakers)} speakers are left to train on once those of the trials {', '.join(self.trials)} "
                f"are left out, of which {self.valid_speakers} would be held out: set train_root to other "
                "speakers, or take trials O alone"
            )
        held_out = set(hashed(speakers, self.seed)[: self.valid_speakers])
        rows = [row for root in self._train_folders() for row in _utterances(root) if row["speaker"] in speakers]
        held = [row for row in rows if row["speaker"] in held_out]
        valid = draw_trials(held, self.valid_trials, self.seed)
        train = [row | {"spk": row["speaker"]} for row in rows if row["speaker"] not in held_out]
        return Splits(train=train, valid=valid, test=test)

    def _train_folders(self) -> list[Path]:
        if self.train_root is not None:
            return [require_folder(absolute(self.train_root), "the speakers to train on")]
        return self._folders()

    def _listing(self, name: str) -> Path:
        if name not in TRIALS:
            raise CorpusError(f"trials are O, E and H, got {name!r}")
        there = [self._root / file for file in TRIALS[name] if (self._root / file).is_file()]
        return (
            there[0] if there else require_file(self._root / TRIALS[name][0], f"the list of VoxCeleb1's trials {name}")
        )

    def _trials(self, name: str, roots: list[Path]) -> Iterator[Row]:
        listing, known = self._listing(name), {}
        for number, (label, *names) in lines(listing, columns=3):
            if label not in ("0", "1"):
                raise CorpusError(f"{listing}, line {number}: a trial opens with 0 or 1, got {label!r}")
            for one in names:
                if one not in known:
                    known[one] = self._row(one, roots, f"{listing}, line {number}")
            yield trial(known[names[0]], known[names[1]], label)


def _utterances(root: Path) -> Iterator[Row]:
    for file in audio_files(root):
        name = file.relative_to(root).with_suffix("").as_posix()
        yield {"id": name, "wav_path": str(file), "speaker": name.partition("/")[0]}


def _get(scratch: Path) -> Path:
    from torchaudio.datasets import VoxCeleb1Identification, VoxCeleb1Verification

    root = scratch / "voxceleb1"
    root.mkdir()
    VoxCeleb1Identification(root, download=True)
    VoxCeleb1Verification(root)  # its list of trials
    for archive in root.glob("vox1_*"):
        archive.unlink()
    return root
