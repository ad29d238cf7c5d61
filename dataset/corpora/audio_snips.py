"""Audio SNIPS: synthetic voices that say the SNIPS commands, with slots and intents."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

from dataset.corpora.common.base import Corpus, CorpusError, Row, Splits
from dataset.corpora.common.folders import absolute, audio_files, lines, require_file, require_folder
from dataset.setting import REQUIRED, setting

LIST = "all.iob.snips.txt"
TRAIN = ["Ivy", "Joanna", "Joey", "Justin", "Kendra", "Kimberly", "Matthew", "Salli"]
VALID, TEST = ["Aditi", "Amy", "Geraint", "Nicole"], ["Brian", "Emma", "Raveena", "Russell"]


@dataclasses.dataclass
class AudioSnips(Corpus):
    """``dataset_root/{train,valid,test}/**/<speaker>-snips-<split>-<number>.wav``, and ``all.iob.snips.txt``.

    Columns: ``id, wav_path, transcription, slots`` (JSON: ``[[name, value], ...]``), ``intent, speaker``.
    """

    dataset_root: str = setting(REQUIRED, "folder of Audio SNIPS")
    train_speakers: list[str] = setting(TRAIN, "voices to train on")
    valid_speakers: list[str] = setting(VALID, "voices to validate on")
    test_speakers: list[str] = setting(TEST, "voices to test on")

    def sources(self) -> list[Path]:
        """The list and the folders of audio."""
        root = absolute(self.dataset_root)
        return [root / LIST, *(root / split for split in ("train", "valid", "test"))]

    def load(self, cache_dir: Path) -> Splits:
        """Rows of every split."""
        root = require_folder(absolute(self.dataset_root), "dataset_root")
        entries = _read(require_file(root / LIST, "dataset_root"))
        voices = {"train": self.train_speakers, "valid": self.valid_speakers, "test": self.test_speakers}
        rows = {split: _rows(root / split, entries, own, split) for split, own in voices.items()}
        return Splits(rows["train"], rows["valid"], {"test": rows["test"]})


def _read(path: Path) -> dict[str, Row]:
    """Transcript, slots and intent by utterance."""
    entries = {}
    for number, fields in lines(path):
        line = " ".join(fields)
        begin, end = (fields.index(word) if word in fields else -1 for word in ("BOS", "EOS"))
        words, tags = fields[begin + 1 : end], fields[end + 2 : -1]
        if begin != 1 or end < 0 or len(words) != len(tags):
            raise CorpusError(
                f"{path}, line {number}: expected an id, BOS, words, EOS, a tag for each and an intent,"
                f" got {line[:80]!r}"
            )
        entries[fields[0]] = {
            "transcription": " ".join(words),
            "slots": json.dumps(slots_of_tags(words, tags), ensure_ascii=False),
            "intent": fields[-1],
        }
    return entries


def slots_of_tags(words: Sequence[str], tags: Sequence[str]) -> list[tuple[str, str]]:
    """Slots from a tag for each word: ``B-name`` begins one, ``I-name`` continues it, any other is outside."""
    slots: list[tuple[str, list[str]]] = []
    previous = None
    for word, tag in zip(words, tags):
        kind, _, name = tag.partition("-")
        if kind == "B" or (kind == "I" and name != previous):
            slots.append((name, [word]))
        elif kind == "I":
            slots[-1][1].append(word)
        previous = name if kind in ("B", "I") else None
    return [(name, " ".join(value)) for name, value in slots]


def _rows(folder: Path, entries: dict[str, Row], voices: Sequence[str], split: str) -> list[Row]:
    rows = [
        {"id": path.stem, "wav_path": str(path), **entries[path.stem], "speaker": path.stem.partition("-")[0]}
        for path in audio_files(require_folder(folder, split))
        if path.stem in entries and path.stem.partition("-")[0] in voices
    ]
    if not rows:
        raise CorpusError(f"{folder} has no audio of {', '.join(voices)} that {LIST} lists; check {split}_speakers")
    return sorted(rows, key=lambda row: row["id"])
