"""A corpus of buzzing voices for verification: speakers are pitches, so that a small model can tell them apart."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import soundfile

from dataset.corpora import Corpus, Row, Splits
from dataset.setting import setting

PITCHES = {"train": (200, 260, 330, 420, 540, 690), "valid": (230, 370, 600), "test": (290, 470, 760)}


@dataclasses.dataclass
class Voices(Corpus):
    """Six speakers to train on, three others in the validation trials, three more in two lists of test trials."""

    per_speaker: int = setting(4, "utterances of each speaker", min=2)
    broken: bool = setting(False, "make one test utterance no audio")

    def load(self, cache_dir: Path) -> Splits:
        """Rows with ``id, wav_path, spk``; trials of all pairs, and of enrolments of two utterances."""
        spoken = {split: self._split(Path(cache_dir) / "voices" / split, split) for split in PITCHES}
        if self.broken:
            Path(spoken["test"][0]["wav_path"]).write_text("no audio")
        valid, pairs = (
            _trials(((row,), other) for row, other in itertools.combinations(spoken[split], 2))
            for split in ("valid", "test")
        )
        two = _trials(
            (tuple(rows[:2]), other)
            for rows in _by_speaker(spoken["test"])
            for other in spoken["test"]
            if other not in rows[:2]
        )
        return Splits(train=spoken["train"], valid=valid, test={"pairs": pairs, "two": two})

    def _split(self, folder: Path, split: str) -> list[Row]:
        folder.mkdir(parents=True, exist_ok=True)
        draw, rows = np.random.default_rng(len(split)), []
        for pitch, take in itertools.product(PITCHES[split], range(self.per_speaker)):
            time = np.arange(int(draw.uniform(0.3, 0.6) * 16000)) / 16000
            wave = sum(np.sin(2 * np.pi * k * pitch * draw.uniform(0.98, 1.02) * time) / k for k in (1, 2, 3))
            path = folder / f"{pitch} {take}.wav"  # with a space
            soundfile.write(path, 0.1 * wave + 0.01 * draw.standard_normal(len(time)), 16000)
            rows.append({"id": f"{split} {pitch}-{take}", "wav_path": str(path), "spk": f"s{pitch}"})
        return rows


def _by_speaker(rows: list[Row]) -> list[list[Row]]:
    return [[row for row in rows if row["spk"] == spk] for spk in dict.fromkeys(row["spk"] for row in rows)]


def _trials(pairs) -> list[Row]:
    return [
        {
            "id1": " ; ".join(row["id"] for row in enrolled),
            "id2": test["id"],
            "wav_path1": " ; ".join(row["wav_path"] for row in enrolled),
            "wav_path2": test["wav_path"],
            "label": str(int(enrolled[0]["spk"] == test["spk"])),
        }
        for enrolled, test in pairs
    ]
