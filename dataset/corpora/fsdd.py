"""The Free Spoken Digit Dataset: single digits (github.com/Jakobovski/free-spoken-digit-dataset)."""

from __future__ import annotations

import dataclasses
import os
import re
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from dataset.corpora.common.base import Corpus, CorpusError, Row, Splits
from dataset.corpora.common.folders import absolute
from dataset.setting import REQUIRED, setting

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
NUM_TEST_INDICES = 5  # the corpus's own rule: recordings 0-4 of each speaker and digit are its test set


class Recording(NamedTuple):
    """One spoken digit."""

    digit: int
    speaker: str
    index: int
    path: Path


@dataclasses.dataclass
class FSDD(Corpus):
    """``root/recordings/<digit>_<speaker>_<index>.wav`` (or ``.flac``): one digit a file.

    The test set is index 0-4 of every speaker and digit or, with ``test_speaker``, all recordings of that speaker. The
    rest is for training, except the highest indices of each speaker and digit, which are for validation:
    ``valid_fraction`` of them, rounded, at least one.

    Columns: ``id, wav_path, transcription`` ("zero" to "nine"), ``label`` ("0" to "9"), ``speaker``.
    """

    dataset_root: str = setting(REQUIRED, "folder that holds the corpus's folder 'recordings'")
    test_speaker: str | None = setting(
        None, "test on this speaker and train on the others; null: test on index 0-4 of all"
    )
    valid_fraction: float = setting(
        0.1, "part of each speaker's training recordings of a digit held out for validation", min=0.001, max=0.9
    )

    def sources(self) -> list[Path]:
        """The folder of the recordings."""
        return [self._folder]

    def load(self, cache_dir: Path) -> Splits:
        """Rows of every split."""
        train, valid, test = ([_row(recording) for recording in part] for part in self.divide().values())
        return Splits(train=train, valid=valid, test={"test": test})

    @property
    def _folder(self) -> Path:
        return absolute(self.dataset_root) / "recordings"

    def _recordings(self) -> list[Recording]:
        """All recordings, sorted by speaker, digit and index."""
        folder = self._folder
        if not folder.is_dir():
            raise CorpusError(
                f"FSDD is not in {folder.parent}: there is no folder {folder}; set dataset_root to the folder that "
                "holds 'recordings'"
            )
        recordings = []
        for name in sorted(os.listdir(folder)):
            if not name.endswith((".wav", ".flac")):
                continue
            match = re.fullmatch(r"([0-9])_(.+)_([0-9]+)\.(?:wav|flac)", name)
            if match is None:
                raise CorpusError(f"{folder / name}: expected a name <digit>_<speaker>_<index>.wav or .flac")
            recordings.append(Recording(int(match[1]), match[2], int(match[3]), folder / name))
        if not recordings:
            raise CorpusError(f"{folder} holds no .wav and no .flac")
        recordings.sort(key=lambda recording: (recording.speaker, recording.digit, recording.index))
        for first, second in zip(recordings, recordings[1:]):
            if first[:3] == second[:3]:
                raise CorpusError(f"{first.path} and {second.path} are the same recording: remove one of them")
        return recordings

    def divide(self) -> dict[str, list[Recording]]:
        """The recordings of ``train``, ``valid`` and ``test``, in this order."""
        recordings = self._recordings()
        speakers = sorted({recording.speaker for recording in recordings})
        if self.test_speaker is not None and self.test_speaker not in speakers:
            raise CorpusError(
                f"test_speaker {self.test_speaker!r} is not in FSDD; the speakers are {', '.join(speakers)}"
            )
        divided: dict[str, list[Recording]] = {"train": [], "valid": [], "test": []}
        rest = defaultdict(list)
        for recording in recordings:
            if self.test_speaker is None:
                is_test = recording.index < NUM_TEST_INDICES
            else:
                is_test = recording.speaker == self.test_speaker
            if is_test:
                divided["test"].append(recording)
            else:
                rest[recording.speaker, recording.digit].append(recording)
        for group in rest.values():
            num_valid = min(max(1, int(len(group) * self.valid_fraction + 0.5)), len(group) - 1)
            divided["train"].extend(group[: len(group) - num_valid])
            divided["valid"].extend(group[len(group) - num_valid :])
        for split, part in divided.items():
            if not part:
                raise CorpusError(
                    f"{self.dataset_root} has no recordings for {split}: it holds {len(recordings)}, of "
                    f"{', '.join(speakers)}; test_speaker is {self.test_speaker}, "
                    f"valid_fraction is {self.valid_fraction}"
                )
        return divided


def _row(recording: Recording) -> Row:
    return {
        "id": recording.path.stem,
        "wav_path": str(recording.path),
        "transcription": WORDS[recording.digit],
        "label": str(recording.digit),
        "speaker": recording.speaker,
    }
