"""The folders, the download and the rows that both corpora of VoxCeleb1 share (Nagrani et al., Interspeech 2017)."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from dataset.corpora.common.base import Corpus, CorpusError, Row
from dataset.corpora.common.download import fetch
from dataset.corpora.common.folders import absolute, existing, require_folder
from dataset.setting import REQUIRED, setting

WAV_FOLDERS = ("wav", "dev/wav", "test/wav")  # of archives unpacked into one folder, or into two


@dataclasses.dataclass
class VoxCeleb1(Corpus):
    """``root/wav/<speaker>/<video>/<n>.wav``, or ``root/dev/wav`` and ``root/test/wav``; lists in ``root``."""

    dataset_root: str = setting(REQUIRED, "folder that holds wav, or dev and test, and the lists")
    download: bool = setting(False, "download the corpus into dataset_root if that does not exist (36 GB)")

    @property
    def _root(self) -> Path:
        return absolute(self.dataset_root)

    def _fetch(self) -> None:
        if self.download:
            fetch(self._root, _download)

    def _folders(self) -> list[Path]:
        """The folders of audio, of which there is at least one."""
        present = [self._root / name for name in WAV_FOLDERS if (self._root / name).is_dir()]
        return present or [require_folder(self._root / "wav", "VoxCeleb1's audio")]

    def _row(self, name: str, roots: list[Path], place: str) -> Row:
        """The row of ``<speaker>/<video>/<n>.wav``; ``place`` opens the error if there is no such file."""
        paths = (existing(root / name) for root in roots)
        path = next((path for path in paths if path is not None), None)
        if path is None:
            raise CorpusError(f"{place}: there is no audio file {name} in {' or '.join(map(str, roots))}")
        return {"id": name.rpartition(".")[0], "wav_path": str(path), "speaker": name.partition("/")[0]}


def _download(scratch: Path) -> Path:
    from torchaudio.datasets import VoxCeleb1Identification, VoxCeleb1Verification

    root = scratch / "voxceleb1"
    root.mkdir()
    VoxCeleb1Identification(root, download=True)
    VoxCeleb1Verification(root)  # its list of trials
    for archive in root.glob("vox1_*"):
        archive.unlink()
    return root
