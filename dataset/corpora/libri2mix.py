"""Libri2Mix: two utterances of LibriSpeech at once (Cosentino et al., arXiv 2005.11262), for diarization."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from dataset.corpora.common.base import Corpus, CorpusError, Row, Splits
from dataset.corpora.common.folders import absolute, folders, require_file, require_folder
from dataset.corpora.common.tables import read_table
from dataset.diarization.turns import Turn, TurnsError, read_rttm, to_json
from dataset.setting import REQUIRED, setting

SAMPLE_RATES = {"wav16k": 16000, "wav8k": 8000}
SETS = {
    "train": (("train", "train-100"), "train_clean_100"),
    "valid": (("dev",), "dev_clean"),
    "test": (("test",), "test_clean"),
}
"""Of each split, the names that LibriMix's scripts give the set, and that of the RTTM file of its utterances."""


@dataclasses.dataclass
class Libri2Mix(Corpus):
    """The mixtures as LibriMix's scripts leave them (github.com/JorisCos/LibriMix, or s3prl's copy), such as
    ``Libri2Mix/wav16k/max``: ``metadata/mixture_<set>_<kind>.csv`` and ``<set>/<kind>/<mixture>.wav``; and RTTM files
    of who speaks when in the utterances of LibriSpeech, ``train_clean_100.rttm``, ``dev_clean.rttm`` and
    ``test_clean.rttm``, which are in ``metadata/LibriSpeech`` of s3prl's copy. Every utterance begins with its mixture.

    Audio is found by the last three parts of the paths in the metadata, so that the folder may have moved. Folders with
    the names of Libri3Mix are read too.

    Columns: ``id`` (of the mixture), ``wav_path, turns``.
    """

    dataset_root: str = setting(REQUIRED, "folder of a sample rate and a mode, such as Libri2Mix/wav16k/max")
    rttm: str = setting(REQUIRED, "folder of the RTTM files of LibriSpeech's utterances")
    kind: str = setting("mix_both", "with noise, or without", choices=("mix_both", "mix_clean"))

    def sources(self) -> list[Path]:
        """The metadata and the RTTM files."""
        return [path for split in SETS for path in (self._metadata(split), self._rttm(split))]

    def load(self, cache_dir: Path) -> Splits:
        """Rows of every split."""
        rows = {split: self._rows(split) for split in SETS}
        return Splits(rows["train"], rows["valid"], {"test": rows["test"]})

    @property
    def _root(self) -> Path:
        return absolute(self.dataset_root)

    def _metadata(self, split: str) -> Path:
        """The metadata of a set."""
        folder = require_folder(self._root / "metadata", "dataset_root")
        names = [f"mixture_{name}_{self.kind}.csv" for name in SETS[split][0]]
        path = next((folder / name for name in names if (folder / name).is_file()), None)
        if path is None:
            raise CorpusError(f"{folder} has no {' or '.join(names)}; check dataset_root and kind")
        return path

    def _rttm(self, split: str) -> Path:
        return absolute(self.rttm) / f"{SETS[split][1]}.rttm"

    def _rows(self, split: str) -> list[Row]:
        metadata, rttm = self._metadata(split), require_file(self._rttm(split), "rttm")
        try:
            spoken = read_rttm(rttm)
        except TurnsError as error:
            raise CorpusError(str(error)) from error
        rows = []
        for number, line in read_table(metadata):
            place = f"{metadata}, line {number}"
            missing = [name for name in ("mixture_ID", "mixture_path", "length") if not line.get(name, "").strip()]
            if missing:
                raise CorpusError(f"{place}: expected the column {missing[0]}, as LibriMix's scripts write it")
            path = self._root.joinpath(*Path(line["mixture_path"]).parts[-3:])
            seconds = self._seconds(line["length"], place)
            utterances = line["mixture_ID"].split("_")
            turns = [turn for own in utterances for turn in _turns(own, spoken, rttm=rttm, place=place)]
            cut = [Turn(turn.start, min(turn.end, seconds), turn.speaker) for turn in turns if turn.start < seconds]
            rows.append({"id": line["mixture_ID"], "wav_path": str(path), "turns": to_json(sorted(cut))})
        if not rows:
            raise CorpusError(f"{metadata} lists no mixture")
        return rows

    def _seconds(self, samples: str, place: str) -> float:
        """The length of a mixture, whose sample rate is in the name of a folder."""
        rate = next((own for name, own in SAMPLE_RATES.items() if name in self._root.parts), None)
        if rate is None:
            present = ", ".join(folders(self._root)) or "no folder"
            raise CorpusError(f"dataset_root {self._root} is not below wav16k or wav8k; it holds {present}")
        try:
            return float(samples) / rate
        except ValueError:
            raise CorpusError(f"{place}: the length is {samples!r}; expected samples") from None


def _turns(utterance: str, spoken: dict[str, list[Turn]], *, rttm: Path, place: str) -> list[Turn]:
    """The turns of an utterance such as ``84-121123-0001``; the RTTM names it without its speaker."""
    turns = spoken.get(utterance.partition("-")[2], spoken.get(utterance))
    if turns is None:
        raise CorpusError(f"{place}: {rttm} has no turns of the utterance {utterance!r}")
    return turns
