"""CREMA-D: 12 sentences in six acted emotions by 91 actors (Cao et al., IEEE Trans. Affective Computing 2014)."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from dataset.corpora.common.actor_folds import ActorFolds
from dataset.corpora.common.base import CorpusError, Row

LABELS = {"ANG": "anger", "DIS": "disgust", "FEA": "fear", "HAP": "happy", "NEU": "neutral", "SAD": "sad"}


@dataclasses.dataclass
class CREMAD(ActorFolds):
    """``AudioWAV/<actor>_<sentence>_<emotion>_<intensity>.wav``, in folds of actors.

    Columns: ``id, wav_path, label, speaker, sentence, intensity``.
    """

    def _row(self, file: Path) -> Row:
        match = re.fullmatch(r"(\d{4})_([A-Z]{3})_([A-Z]{3})_([A-Z]{1,2})", file.stem)
        if match is None or match[3] not in LABELS:
            raise CorpusError(f"{file}: expected a name <actor>_<sentence>_<emotion>_<intensity>.wav, as in CREMA-D")
        actor, sentence, emotion, intensity = match.groups()
        return {
            "id": file.stem,
            "wav_path": str(file),
            "label": LABELS[emotion],
            "speaker": actor,
            "sentence": sentence,
            "intensity": intensity,
        }
