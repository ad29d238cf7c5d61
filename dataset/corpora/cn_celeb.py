"""CN-Celeb: Chinese speakers in many genres, for verification (Fan et al., ICASSP 2020)."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from dataset.corpora.common.base import Corpus, CorpusError, Row, Splits
from dataset.corpora.common.draw_trials import draw_trials, trial
from dataset.corpora.common.folders import absolute, audio_files, existing, lines, require_file, require_folder
from dataset.corpora.common.holdout import hashed
from dataset.setting import REQUIRED, setting


@dataclasses.dataclass
class CNCeleb(Corpus):
    """``root/data/<speaker>/<genre>-<n>-<m>.flac``, ``root/dev/dev.lst`` (speakers to train on) and ``root/eval`` with
    ``lists/{enroll,trials}.lst`` and the audio that they name.

    ``valid_speakers`` training speakers are held out; trials among them choose the best checkpoint.

    Columns: ``id, wav_path, speaker, spk, genre`` for training; ``id1, id2, wav_path1, wav_path2, label`` for trials,
    whose first side is the enrolment.
    """

    dataset_root: str = setting(REQUIRED, "folder that holds data, dev and eval")
    valid_speakers: int = setting(40, "training speakers held out for the validation trials", min=2)
    valid_trials: int = setting(10000, "validation trials, half of them of the same speaker", min=2)
    seed: int = setting(0, "seed for the speakers held out and their trials", min=0)

    def sources(self) -> list[Path]:
        """The lists, and the folder of training audio."""
        lists = [self._root / "eval" / "lists" / f"{name}.lst" for name in ("enroll", "trials")]
        return [self._root / "dev" / "dev.lst", *lists, self._root / "data"]

    def load(self, cache_dir: Path) -> Splits:
        """Training rows and trials."""
        listing = require_file(self._root / "dev" / "dev.lst", "CN-Celeb's training speakers")
        speakers = [words[0] for _, words in lines(listing, columns=1)]
        if len(speakers) < self.valid_speakers + 2:
            raise CorpusError(
                f"{listing} has {len(speakers)} speakers, too few to hold out valid_speakers={self.valid_speakers}"
            )
        held_out = set(hashed(speakers, self.seed)[: self.valid_speakers])
        rows = [row for speaker in speakers for row in self._utterances(speaker)]
        valid = draw_trials([r for r in rows if r["speaker"] in held_out], self.valid_trials, self.seed)
        train = [row | {"spk": row["speaker"]} for row in rows if row["speaker"] not in held_out]
        return Splits(train=train, valid=valid, test={"cnceleb": self._trials()})

    @property
    def _root(self) -> Path:
        return absolute(self.dataset_root)

    def _utterances(self, speaker: str) -> list[Row]:
        folder = require_folder(self._root / "data" / speaker, "a training speaker of CN-Celeb")
        return [
            {
                "id": f"{speaker}/{file.stem}",
                "wav_path": str(file),
                "speaker": speaker,
                "genre": file.stem.partition("-")[0],
            }
            for file in audio_files(folder)
        ]

    def _trials(self) -> list[Row]:
        lists = self._root / "eval" / "lists"
        enrolments = require_file(lists / "enroll.lst", "CN-Celeb's enrolments")
        enrolled = {speaker: name for _, (speaker, name) in lines(enrolments, columns=2)}
        listing = require_file(lists / "trials.lst", "CN-Celeb's trials")
        sides: dict[str, Row] = {}
        rows = []
        for number, (speaker, name, label) in lines(listing, columns=3):
            if speaker not in enrolled or label not in ("0", "1"):
                raise CorpusError(f"{listing}, line {number}: expected an enrolled speaker, a file and 0 or 1")
            for side in (enrolled[speaker], name):
                if side not in sides:
                    sides[side] = self._side(side, f"{listing}, line {number}")
            rows.append(trial(sides[enrolled[speaker]], sides[name], label))
        return rows

    def _side(self, name: str, place: str) -> Row:
        """One side of a trial; ``place`` opens the error if its audio is missing."""
        path = existing(self._root / "eval" / name)
        if path is None:
            raise CorpusError(f"{place}: there is no audio file {self._root / 'eval' / name}")
        return {"id": name.rpartition(".")[0], "wav_path": str(path)}
