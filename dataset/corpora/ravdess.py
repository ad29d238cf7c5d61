"""RAVDESS: two sentences in eight acted emotions by 24 actors (Livingstone and Russo, PLoS ONE 2018)."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from dataset.corpora.common.actor_folds import ActorFolds
from dataset.corpora.common.base import CorpusError, Row

LABELS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
SUNG = "02"


@dataclasses.dataclass
class RAVDESS(ActorFolds):
    """``Actor_<nn>/<modality>-<channel>-<emotion>-<intensity>-<statement>-<repetition>-<actor>.wav``, folds of actors.

    Sung recordings are left out. Columns: ``id, wav_path, label, speaker, gender, sentence, intensity``.
    """

    def _row(self, file: Path) -> Row | None:
        match = re.fullmatch(r"\d\d-(0[12])-0([1-8])-(0[12])-(0[12])-\d\d-(\d\d)", file.stem)
        if match is None:
            raise CorpusError(
                f"{file}: expected a name of seven numbers, as RAVDESS's files have (03-01-06-01-02-01-12.wav)"
            )
        channel, emotion, intensity, sentence, actor = match.groups()
        if channel == SUNG:
            return None
        return {
            "id": file.stem,
            "wav_path": str(file),
            "label": LABELS[int(emotion) - 1],
            "speaker": actor,
            "gender": "m" if int(actor) % 2 else "f",
            "sentence": sentence,
            "intensity": intensity,
        }
