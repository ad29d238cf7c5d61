"""CN-Celeb (Fan et al., ICASSP 2020): Chinese speakers in many genres, for verification."""

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

    ``valid_speakers`` of the training speakers are held out; trials among them choose the best checkpoint.

    Columns: ``id, wav_path, speaker, spk, genre`` to train on; ``id1, id2, wav_path1, wav_path2, label`` of trials,
    the first side of which is the enrolment.
    """

    dataset_root: str = setting(REQUIRED, "folder that holds data, dev and eval")
    valid_speakers: int = setting(40, "training speakers held out for the validation trials", min=2)
    valid_trials: int = setting(10000, "validation trials, half of them of one speaker", min=2)
    seed: int = setting(0, "which speakers are held out, and which trials are made of them", min=0)

    def sources(self) -> list[Path]:
        """The lists, and the folder that is trained on."""
        lists = [self._root / "eval" / "lists" / f"{name}.lst" for name in ("enroll", "trials")]
        return [self._root / "dev" / "dev.lst", *lists, self._root / "data"]

    def load(self, cache_dir: Path) -> Splits:
        """Rows and trials; a CorpusError names the list's line, and the audio that is missing."""
        listing = require_file(self._root / "dev" / "dev.lst", "CN-Celeb's training speakers")
        speakers = [words[0] for _, words in lines(listing, columns=1)]
        if len(speakers) < self.valid_speakers + 2:
            raise CorpusError(f"{listing} has {len(speakers)} speakers: too few to hold {self.valid_speakers} out")
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
        enrolled = {
            words[0]: words[1]
            for _, words in lines(require_file(lists / "enroll.lst", "CN-Celeb's enrolments"), columns=2)
        }
        listing, known, rows = require_file(lists / "trials.lst", "CN-Celeb's trials"), {}, []
        for number, (speaker, name, label) in lines(listing, columns=3):
            if speaker not in enrolled or label not in ("0", "1"):
                raise CorpusError(f"{listing}, line {number}: expected an enrolled speaker, a file and 0 or 1")
            for one in (enrolled[speaker], name):
                if one not in known:
                    known[one] = self._row(one, f"{listing}, line {number}")
            rows.append(trial(known[enrolled[speaker]], known[name], label))
        return rows

    def _row(self, name: str, where: str) -> Row:
        path = existing(self._root / "eval" / name)
        if path is None:
            raise CorpusError(f"{where}: there is no audio {self._root / 'eval' / name}")
        return {"id": name.rpartition(".")[0], "wav_path": str(path)}
