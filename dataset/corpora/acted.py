"""Acted emotions, a few sentences by many actors: CREMA-D and RAVDESS, by folds of actors."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from dataset.corpora.common.base import Corpus, CorpusError, Row, Splits
from dataset.corpora.common.folders import absolute, audio_files, require_folder
from dataset.setting import REQUIRED, setting


@dataclasses.dataclass
class _Acted(Corpus):
    """Actors in order of their numbers are dealt to the folds in turn; no actor is in two splits.

    One fold is for testing, the next one for validation, the others are for training.
    """

    dataset_root: str = setting(REQUIRED, "folder that holds the recordings, at any depth")
    folds: int = setting(5, "into how many folds the actors are dealt", min=3)
    test_fold: int = setting(0, "the fold to test on, from 0; the next one is for validation", min=0)

    def sources(self) -> list[Path]:
        """The folder: its list of files counts."""
        return [absolute(self.dataset_root)]

    def load(self, cache_dir: Path) -> Splits:
        """Rows of every split; a CorpusError names a file that is not called as the corpus calls its files."""
        root = require_folder(absolute(self.dataset_root), type(self).__name__)
        rows = [row for file in audio_files(root) if (row := self._row(file)) is not None]
        actors = sorted({row["speaker"] for row in rows})
        if len(actors) < self.folds or self.test_fold >= self.folds:
            raise CorpusError(
                f"{root} has {len(actors)} actors; folds is {self.folds} and test_fold {self.test_fold}: expected at "
                "least an actor a fold, and a test_fold below folds"
            )
        role = {self.test_fold: "test", (self.test_fold + 1) % self.folds: "valid"}
        split = {actor: role.get(number % self.folds, "train") for number, actor in enumerate(actors)}
        found = {name: [row for row in rows if split[row["speaker"]] == name] for name in ("train", "valid", "test")}
        return Splits(train=found["train"], valid=found["valid"], test={"test": found["test"]})

    def _row(self, file: Path) -> Row | None:
        """The row of a recording; None where it is none that is wanted."""
        raise NotImplementedError(f"{type(self).__name__} must read the names of its files")


@dataclasses.dataclass
class CREMAD(_Acted):
    """``AudioWAV/<actor>_<sentence>_<emotion>_<intensity>.wav`` (Cao et al., IEEE Trans. Affective Computing 2014).

    Columns: ``id, wav_path, label, speaker, sentence, intensity``.
    """

    def _row(self, file: Path) -> Row | None:
        match = re.fullmatch(r"(\d{4})_([A-Z]{3})_([A-Z]{3})_([A-Z]{1,2})", file.stem)
        labels = {"ANG": "anger", "DIS": "disgust", "FEA": "fear", "HAP": "happy", "NEU": "neutral", "SAD": "sad"}
        if match is None or match[3] not in labels:
            raise CorpusError(
                f"{file} is not called <actor>_<sentence>_<emotion>_<intensity>.wav, as CREMA-D's files are"
            )
        columns = {"speaker": match[1], "sentence": match[2], "intensity": match[4]}
        return {"id": file.stem, "wav_path": str(file), "label": labels[match[3]]} | columns


@dataclasses.dataclass
class RAVDESS(_Acted):
    """``Actor_<nn>/<modality>-<channel>-<emotion>-<intensity>-<statement>-<repetition>-<actor>.wav`` (Livingstone and
    Russo, PLoS ONE 2018): the spoken ones of 24 actors.

    Columns: ``id, wav_path, label, speaker, gender, sentence, intensity``.
    """

    def _row(self, file: Path) -> Row | None:
        labels = ["neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised"]
        match = re.fullmatch(r"\d\d-(0[12])-0([1-8])-(0[12])-(0[12])-\d\d-(\d\d)", file.stem)
        if match is None:
            raise CorpusError(
                f"{file} is not called with seven numbers, as RAVDESS's files are (03-01-06-01-02-01-12.wav)"
            )
        channel, emotion, intensity, sentence, actor = match.groups()
        if channel == "02":  # sung
            return None
        columns = {"speaker": actor, "gender": "m" if int(actor) % 2 else "f"}
        columns |= {"sentence": sentence, "intensity": intensity}
        return {"id": file.stem, "wav_path": str(file), "label": labels[int(emotion) - 1]} | columns
