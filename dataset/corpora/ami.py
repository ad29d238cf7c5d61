"""AMI: meetings of four people (Carletta et al., MLMI 2005), in the setup for diarization of Landini et al. (2022)."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

from dataset.corpora.common.base import Corpus, CorpusError, Row, Splits
from dataset.corpora.common.folders import absolute, audio_files, lines, require_file, require_folder
from dataset.diarization.turns import TurnsError, read_rttm, read_uem, to_json
from dataset.setting import REQUIRED, setting

SETS = {"train": "train", "valid": "dev", "test": "test"}


@dataclasses.dataclass
class AMI(Corpus):
    """The files of the AMI-diarization-setup (github.com/BUTSpeechFIT/AMI-diarization-setup, and pyannote's copy):
    ``lists/<set>.meetings.txt``, ``only_words/rttms/<set>/<meeting>.rttm`` and ``uems/<set>/<meeting>.uem`` for the
    sets train, dev and test; and AMI's recordings, ``<audio>/**/<meeting>.<microphone>.wav``.

    Columns: ``id`` (the meeting), ``wav_path, turns, scored``.
    """

    dataset_root: str = setting(REQUIRED, "folder of the AMI-diarization-setup")
    audio: str = setting(REQUIRED, "folder of AMI's recordings, searched with all below it")
    microphone: str = setting("Mix-Headset", "of the recordings, such as Mix-Headset or Array1-01")
    references: str = setting("only_words", "what counts as speech", choices=("only_words", "word_and_vocalsounds"))

    def sources(self) -> Iterator[Path]:
        """The folder of audio, and the lists, RTTM and UEM files."""
        yield absolute(self.audio)
        for name in SETS.values():
            yield self._list(name)
            for meeting in self._meetings(name):
                yield from self._files(name, meeting)

    def load(self, cache_dir: Path) -> Splits:
        """Rows of every split."""
        folder, ending = require_folder(absolute(self.audio), "audio", "audio"), f".{self.microphone}"
        recordings = {
            path.stem.removesuffix(ending): path for path in audio_files(folder) if path.stem.endswith(ending)
        }
        rows = {
            split: [self._row(name, own, recordings) for own in self._meetings(name)] for split, name in SETS.items()
        }
        return Splits(rows["train"], rows["valid"], {"test": rows["test"]})

    def _list(self, name: str) -> Path:
        return absolute(self.dataset_root) / "lists" / f"{name}.meetings.txt"

    def _meetings(self, name: str) -> list[str]:
        meetings = [words[0] for _, words in lines(require_file(self._list(name), "dataset_root"), 1)]
        if not meetings:
            raise CorpusError(f"{self._list(name)} lists no meeting")
        return meetings

    def _files(self, name: str, meeting: str) -> tuple[Path, Path]:
        """The RTTM and the UEM file of a meeting."""
        root = absolute(self.dataset_root)
        return (
            root / self.references / "rttms" / name / f"{meeting}.rttm",
            root / "uems" / name / f"{meeting}.uem",
        )

    def _row(self, name: str, meeting: str, recordings: dict[str, Path]) -> Row:
        if meeting not in recordings:
            raise CorpusError(
                f"{absolute(self.audio)} has no recording {meeting}.{self.microphone}.wav, which {self._list(name)}"
                " lists; check audio and microphone, or take the meeting out of a copy of the list"
            )
        rttm, uem = (require_file(path, "dataset_root") for path in self._files(name, meeting))
        try:
            turns, scored = read_rttm(rttm), read_uem(uem)
        except TurnsError as error:
            raise CorpusError(str(error)) from error
        if meeting not in turns or meeting not in scored:
            raise CorpusError(f"{uem if meeting in turns else rttm} has no line for the recording {meeting!r}")
        return {
            "id": meeting,
            "wav_path": str(recordings[meeting]),
            "turns": to_json(turns[meeting]),
            "scored": json.dumps([list(span) for span in scored[meeting]]),
        }
