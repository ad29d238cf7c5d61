"""IEMOCAP: five sessions of acted dialogues (Busso et al., Language Resources and Evaluation 2008)."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dataset.corpora.common.base import Corpus, CorpusError, Row, Splits
from dataset.corpora.common.folders import absolute, require_folder
from dataset.corpora.common.holdout import divide
from dataset.setting import REQUIRED, setting

SESSIONS = 5
LABELS = {"neu": "neu", "hap": "hap", "exc": "hap", "ang": "ang", "sad": "sad"}  # excited counts as happy
# [6.2901 - 8.2357]	Ses01F_impro01_F000	neu	[2.5000, 2.5000, 2.5000]
LINE = re.compile(r"\[([\d.]+) - ([\d.]+)\]\s+(Ses\d\d[FM]_\w+)\s+(\w+)\s+\[")


@dataclasses.dataclass
class IEMOCAP(Corpus):
    """``root/Session<n>/dialog/EmoEvaluation/<dialogue>.txt`` and ``.../sentences/wav/<dialogue>/<turn>.wav``.

    Four classes: neutral, happy (with excited), angry, sad; other turns are left out. Each session has its own two
    speakers, so those of the test session are unseen. Validation uses other dialogues of the training speakers.

    Columns: ``id, wav_path, label, speaker, gender, dialogue``.
    """

    dataset_root: str = setting(REQUIRED, "folder that holds Session1 to Session5")
    test_fold: int = setting(0, "the session to test on, from 0; the others are for training", min=0, max=SESSIONS - 1)
    valid_fraction: float = setting(
        0.2, "part of the training turns, in whole dialogues, to validate on", min=0.01, max=0.9
    )

    def sources(self) -> list[Path]:
        """Every file of labels."""
        return [file for number in range(1, SESSIONS + 1) for file in self._labels(number)]

    def folds_of(self, number: int | None) -> list[dict[str, Any]]:
        """The settings of each session's fold."""
        if number not in (None, SESSIONS):
            raise CorpusError(f"IEMOCAP has {SESSIONS} folds, its sessions; expected all or {SESSIONS}, got {number}")
        return [{"test_fold": fold} for fold in range(SESSIONS)]

    def load(self, cache_dir: Path) -> Splits:
        """Rows of every split."""
        sessions = [list(self._session(number)) for number in range(1, SESSIONS + 1)]
        test = sessions.pop(self.test_fold)
        valid, train = divide([row for rows in sessions for row in rows], "dialogue", self.valid_fraction)
        return Splits(train=train, valid=valid, test={"test": test})

    def _labels(self, session: int) -> list[Path]:
        folder = absolute(self.dataset_root) / f"Session{session}" / "dialog" / "EmoEvaluation"
        files = sorted(require_folder(folder, "IEMOCAP's labels").glob("Ses*.txt"))
        if not files:
            raise CorpusError(f"{folder} holds no Ses*.txt with labels")
        return files

    def _session(self, number: int) -> Iterator[Row]:
        for file in self._labels(number):
            for line in file.read_text("utf-8").splitlines():
                match = LINE.match(line)
                if match is None or match[4] not in LABELS:
                    continue
                turn = match[3]
                path = file.parents[2] / "sentences" / "wav" / file.stem / f"{turn}.wav"
                if not path.is_file():
                    raise CorpusError(f"{file} has the label of {turn}, but there is no file {path}")
                gender = turn.rpartition("_")[2][0]  # of the speaker; the letter before names who wore the markers
                yield {
                    "id": turn,
                    "wav_path": str(path),
                    "label": LABELS[match[4]],
                    "speaker": f"{turn[:5]}{gender}",
                    "gender": gender.lower(),
                    "dialogue": file.stem,
                }
