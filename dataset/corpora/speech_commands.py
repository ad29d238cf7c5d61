"""Google Speech Commands: single words, versions 0.01 and 0.02 (Warden, arXiv 1804.03209)."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

from dataset.corpora.common.base import Corpus, CorpusError, Row, Splits
from dataset.corpora.common.download import fetch
from dataset.corpora.common.folders import absolute, audio_files, folders, lines, require_folder
from dataset.setting import REQUIRED, setting

KEYWORDS = ["yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go"]
UNKNOWN, SILENCE = "_unknown_", "_silence_"
NOISE = "_background_noise_"
LISTS = {"valid": "validation_list.txt", "test": "testing_list.txt"}
PERCENT = {"valid": (0, 10), "test": (10, 20), "train": (20, 100)}
MAX_HASH = 2**27 - 1  # of the corpus's rule


@dataclasses.dataclass
class SpeechCommands(Corpus):
    """``root/<word>/<speaker>_nohash_<n>.wav`` with ``validation_list.txt``, ``testing_list.txt`` and
    ``_background_noise_``.

    With ``keywords`` there are two more classes: ``_unknown_`` (all other words) and ``_silence_`` (a second of
    background noise). Without (``[]``), every word is a class (30 in version 0.01, 35 in 0.02).

    The lists give the split of a recording. If they are missing, the corpus's rule does: a hash of the speaker, so that
    no speaker is in two splits. Each noise recording is cut into seconds without overlap, the first 80 % of them for
    training, then 10 % each for validation and testing, so that no noise is in two splits.

    ``test_root`` is the archive on which twelve-class results are published (``speech_commands_test_set_v0.01`` or
    ``v0.02``), with a folder for each class. Without it, the test set is chosen like the other splits.

    Columns: ``id, wav_path, label, speaker, word``; noise also has ``start_sec, end_sec``.
    """

    dataset_root: str = setting(REQUIRED, "folder that holds a folder for each word")
    test_root: str | None = setting(None, "folder of the archive with the twelve-class test set; null: the test split")
    keywords: list[str] = setting(
        KEYWORDS, "words that are classes, the others are _unknown_; []: every word is a class"
    )
    download: bool = setting(False, "download the corpus into dataset_root if that does not exist (1.5 or 2.4 GB)")
    version: str = setting("v0.01", "the version to download", choices=("v0.01", "v0.02"))

    def sources(self) -> list[Path]:
        """The folders, and the lists of the splits."""
        paths = [self._root, *(self._root / name for name in LISTS.values() if (self._root / name).is_file())]
        return paths if self.test_root is None else [*paths, absolute(self.test_root)]

    def load(self, cache_dir: Path) -> Splits:
        """Rows of every split."""
        if self.download:
            fetch(self._root, self._download)
        words = [name for name in folders(require_folder(self._root, "Speech Commands")) if name != NOISE]
        missing = [word for word in self.keywords if word not in words]
        if missing or len(words) < 2:
            raise CorpusError(
                f"{self._root} has no folder for {', '.join(missing) or 'words'}; it has {', '.join(words) or 'none'}; "
                "check dataset_root and keywords"
            )
        rows: dict[str, list[Row]] = {"train": [], "valid": [], "test": []}
        listed = self._listed()
        for word in words:
            for file in audio_files(self._root / word):
                row = self._row(file, word)
                rows[listed.get(f"{word}/{file.stem}", "train") if listed else split_of(row["speaker"])].append(row)
        if self.keywords:
            for split, row in self._silence():
                rows[split].append(row)
        test = rows["test"] if self.test_root is None else self._test_archive(absolute(self.test_root))
        return Splits(train=rows["train"], valid=rows["valid"], test={"test": test})

    @property
    def _root(self) -> Path:
        return absolute(self.dataset_root)

    def _label(self, word: str) -> str:
        return word if not self.keywords or word in self.keywords else UNKNOWN

    def _row(self, file: Path, word: str) -> Row:
        speaker = re.sub(r"_nohash_.*$", "", file.stem)
        if speaker == file.stem:
            raise CorpusError(f"{file}: expected a name <speaker>_nohash_<number>.wav")
        columns = {"label": self._label(word), "speaker": speaker, "word": word}
        return {"id": f"{word}/{file.stem}", "wav_path": str(file)} | columns

    def _listed(self) -> dict[str, str]:
        """The split of every recording in the lists; empty if there are no lists."""
        present = [name for name in LISTS.values() if (self._root / name).is_file()]
        if len(present) == 1:
            raise CorpusError(f"{self._root} has only {present[0]} of {' and '.join(LISTS.values())}")
        return {
            words[0].removesuffix(".wav"): split
            for split, name in LISTS.items()
            if present
            for _, words in lines(self._root / name, columns=1)
        }

    def _silence(self) -> Iterator[tuple[str, Row]]:
        """Each second of background noise, with its split."""
        import soundfile

        files = list(audio_files(require_folder(self._root / NOISE, "the noise for _silence_")))
        for file in files:
            try:
                seconds = int(soundfile.info(file).duration)
            except soundfile.LibsndfileError as error:
                raise CorpusError(f"{file} cannot be read as audio: {error}") from error
            for start in range(seconds):
                split = "train" if start < 0.8 * seconds else "valid" if start < 0.9 * seconds else "test"
                times = {"start_sec": str(start), "end_sec": str(start + 1)}
                columns = {"label": SILENCE, "speaker": "", "word": ""}
                yield split, {"id": f"{NOISE}/{file.stem}-{start:03}", "wav_path": str(file)} | columns | times

    def _test_archive(self, root: Path) -> list[Row]:
        classes = folders(require_folder(root, "the test set of Speech Commands"))
        expected = {*self.keywords, UNKNOWN, SILENCE}
        if not self.keywords or set(classes) != expected:
            raise CorpusError(
                f"{root} has the classes {', '.join(classes)}; expected {', '.join(sorted(expected))}: set "
                "keywords to the words of test_root"
            )
        rows = []
        for name in classes:
            for file in audio_files(root / name):
                speaker, mark, _ = file.stem.partition("_nohash_")
                columns = {
                    "label": name,
                    "speaker": speaker if mark else "",
                    "word": name if name in self.keywords else "",
                }
                rows.append({"id": f"test/{name}/{file.stem}", "wav_path": str(file)} | columns)
        return rows

    def _download(self, scratch: Path) -> Path:
        from torchaudio.datasets import SPEECHCOMMANDS

        name = f"speech_commands_{self.version}"
        SPEECHCOMMANDS(scratch, url=name, download=True)
        return scratch / "SpeechCommands" / name


def split_of(speaker: str) -> str:
    """The split of a speaker by the corpus's own rule, which also made its lists."""
    percent = int(hashlib.sha1(speaker.encode()).hexdigest(), 16) % (MAX_HASH + 1) * (100 / MAX_HASH)
    return next(split for split, (low, high) in PERCENT.items() if low <= percent < high or split == "train")
