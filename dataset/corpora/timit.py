"""TIMIT: read sentences with 61 phones and their times (Garofolo et al., LDC93S1, 1993)."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

from dataset.corpora.common.base import Corpus, CorpusError, Row, Splits
from dataset.corpora.common.folders import absolute, folders, lines
from dataset.setting import REQUIRED, setting

SAMPLE_RATE = 16000

CORE_TEST = (
    "mdab0 mwbt0 felc0 mtas1 mwew0 fpas0 mjmp0 mlnt0 fpkt0 mlll0 mtls0 fjlm0"
    " mbpm0 mklt0 fnlp0 mcmj0 mjdh0 fmgd0 mgrt0 mnjm0 fdhc0 mjln0 mpam0 fmld0"
).split()
"""The 24 speakers of the core test set, two men and a woman of each dialect (TIMIT's ``TESTSET.DOC``)."""

VALIDATION = (
    "faks0 fdac1 fjem0 mgwt0 mjar0 mmdb1 mmdm2 mpdf0 fcmh0 fkms0 mbdg0 mbwm0 mcsh0 fadg0 fdms0 fedw0 mgjf0"
    " mglb0 mrtk0 mtaa0 mtdt0 mthc0 mwjg0 fnmr0 frew0 fsem0 mbns0 mmjr0 mdls0 mdlf0 mdvc0 mers0 fmah0 fdrw0"
    " mrcs0 mrjm4 fcal1 mmwh0 fjsj0 majc0 mjsw0 mreb0 fgjd0 fjmg0 mroa0 mteb0 mjfc0 mrjr0 fmml0 mrws1"
).split()
"""The 50 speakers of the other test data on whom settings are chosen (Halberstadt, thesis, MIT 1998; Kaldi's)."""


@dataclasses.dataclass
class TIMIT(Corpus):
    """Folders ``train/dr<n>/<speaker>`` and ``test/dr<n>/<speaker>``, in upper or lower case, with a ``.PHN``, a
    ``.TXT`` and a ``.WAV`` for each sentence.

    The sentences SA1 and SA2, which everybody reads, are left out. Tests are on the 24 speakers of the core test set,
    validation is on 50 others of the test data.

    Columns: ``id`` (such as ``fcjf0_sx127``), ``wav_path, transcription`` (61 phones), ``phones`` (JSON: ``[[start,
    end, phone], ...]`` in seconds), ``text, speaker, dialect``.
    """

    dataset_root: str = setting(REQUIRED, "folder that holds the folders train and test")

    def sources(self) -> list[Path]:
        """Every file of phones."""
        return [path for split in ("train", "test") for path in self._phone_files(split)]

    def load(self, cache_dir: Path) -> Splits:
        """Rows of every split."""
        train, test = ([_row(path) for path in self._phone_files(split)] for split in ("train", "test"))
        by_speaker = {name: [row for row in test if row["speaker"] in own] for name, own in _TESTED.items()}
        for name, rows in by_speaker.items():
            if not rows:
                raise CorpusError(
                    f"{self._folder('test')} has no speaker of the {name} set, such as {_TESTED[name][0]}"
                )
        return Splits(train, by_speaker["validation"], {"core": by_speaker["core test"]})

    def _folder(self, split: str) -> Path:
        root = absolute(self.dataset_root)
        names = {name.lower(): name for name in (folders(root) if root.is_dir() else ())}
        if split not in names:
            hint = next((f"; did you mean {root / name}?" for name in ("TIMIT", "timit") if name in names.values()), "")
            raise CorpusError(f"dataset_root: {root} has no folder {split} or {split.upper()}{hint}")
        return root / names[split]

    def _phone_files(self, split: str) -> Iterator[Path]:
        top = self._folder(split)
        paths = sorted(path for path in top.rglob("*") if path.suffix.lower() == ".phn")
        if not paths:
            raise CorpusError(f"{top} holds no .PHN file")
        yield from (path for path in paths if not path.stem.lower().startswith("sa"))


_TESTED = {"core test": CORE_TEST, "validation": VALIDATION}


def _row(path: Path) -> Row:
    phones = [(int(start), int(end), phone) for start, end, phone in _spans(path)]
    times = [[round(start / SAMPLE_RATE, 5), round(end / SAMPLE_RATE, 5), phone] for start, end, phone in phones]
    speaker, sentence = path.parent.name.lower(), path.stem.lower()
    text = next((" ".join(words[2:]) for own in _beside(path, ".txt") for _, words in lines(own)), "")
    return {
        "id": f"{speaker}_{sentence}",
        "wav_path": str(_audio(path)),
        "transcription": " ".join(phone for *_, phone in phones),
        "phones": json.dumps(times),
        "text": text,
        "speaker": speaker,
        "dialect": path.parent.parent.name.lower(),
    }


def _spans(path: Path) -> Iterator[list[str]]:
    """Start, end and phone of each line."""
    for number, words in lines(path, 3):
        if not (words[0].isdigit() and words[1].isdigit() and int(words[0]) <= int(words[1])):
            raise CorpusError(
                f"{path}, line {number}: expected two sample numbers and a phone, got {' '.join(words)!r}"
            )
        yield words


def _audio(path: Path) -> Path:
    """The audio of a sentence: the published .WAV, or a copy in another format, which then has two suffixes."""
    candidates = [own for suffix in (".wav", ".wav.wav", ".flac") for own in _beside(path, suffix)]
    if not candidates:
        raise CorpusError(f"{path}: there is no {path.stem}.WAV beside it")
    return next((own for own in candidates if own.name.lower().endswith(".wav.wav")), candidates[0])


def _beside(path: Path, suffix: str) -> list[Path]:
    """The files of the same name with a suffix, in upper or lower case."""
    names = {f"{path.stem}{suffix}", f"{path.stem}{suffix.upper()}", f"{path.stem}{suffix[:4].upper()}{suffix[4:]}"}
    return sorted(own for own in map(path.with_name, names) if own.is_file())
