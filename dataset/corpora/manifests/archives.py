"""Corpora whose audio is inside archives: each archive is unpacked once into the cache, whole or not at all."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
from collections.abc import Callable
from pathlib import Path

from dataset.corpora.common.base import CorpusError, Splits
from dataset.corpora.manifests.base import Manifests
from dataset.storage.file_digests import content_digests
from dataset.storage.files import sweep, write_folder
from dataset.storage.locks import locked

SIZES = "sizes.json"
"""The size of each file of an unpacked archive, by name; written last."""

MAGIC = {b"RIFF": ".wav", b"fLaC": ".flac", b"OggS": ".ogg"}
"""The suffix of audio by its first four bytes; all else that is read is MP3."""

log = logging.getLogger(__name__)


@dataclasses.dataclass
class Archives(Manifests):
    """Manifests that hold their audio. Until it is unpacked, a row's ``wav_path`` is ``<archive>/<name>``."""

    def load(self, cache_dir: Path) -> Splits:
        """Rows of every split, with the audio unpacked into ``cache_dir``."""
        splits = super().load(cache_dir)
        archives = {str(file) for path in self._paths() for file in self._archives(path)}
        folders: dict[str, Path] = {}
        for rows in (splits.train, splits.valid, *splits.test.values()):
            for row in rows:
                archive, name = os.path.split(row["wav_path"])
                if archive not in archives:
                    continue  # a file outside
                if archive not in folders:
                    folders[archive] = unpacked(Path(archive), Path(cache_dir), self._unpack)
                row["wav_path"] = str(folders[archive] / name)
        return splits

    def made_audio(self, cache_dir: Path) -> list[Path]:
        """The folder of each archive."""
        files = dict.fromkeys(file for path in self._paths() for file in self._archives(path))
        return [folder_of(file, cache_dir) for file in files if file.is_file()]

    def _archives(self, path: str) -> list[Path]:
        """The archives of a set."""
        return self._files(path)

    def _unpack(self, archive: Path, folder: Path) -> None:
        """Write the audio of an archive into a folder, each file under the name that its row has."""
        raise NotImplementedError(f"{type(self).__name__} must unpack its archives")


def folder_of(archive: Path, cache_dir: Path) -> Path:
    """The folder for the audio of an archive, named by the archive's content."""
    digests = content_digests([archive], cache_dir)
    if str(archive) not in digests:
        raise CorpusError(f"{archive} cannot be read; check the path and its permissions")
    return Path(cache_dir).absolute() / "unpacked" / digests[str(archive)]


def unpacked(archive: Path, cache_dir: Path, unpack: Callable[[Path, Path], None]) -> Path:
    """Return the folder with the audio of an archive, which ``unpack`` fills if it is not there or damaged.

    If several processes ask at once, one unpacks and the others wait. After a kill, nothing partial is ever used.
    """
    folder = folder_of(archive, cache_dir)
    with locked(folder.with_name(f"{folder.name}.lock")):
        if _is_whole(folder):
            return folder
        if folder.exists():
            log.warning("the audio of %s in %s is damaged; it is unpacked again", archive, folder)
        sweep(folder.parent, folder.name)
        log.info("unpacking the audio of %s into %s", archive, folder)
        write_folder(folder, lambda target: _fill(archive, target, unpack))
    return folder


def _fill(archive: Path, target: Path, unpack: Callable[[Path, Path], None]) -> None:
    unpack(archive, target)
    (target / SIZES).write_text(json.dumps(_sizes(target)), encoding="utf-8")


def _sizes(folder: Path) -> dict[str, int]:
    with os.scandir(folder) as entries:
        return {entry.name: entry.stat().st_size for entry in entries if entry.name != SIZES}


def _is_whole(folder: Path) -> bool:
    """True if each file has the size with which it was written."""
    try:
        return json.loads((folder / SIZES).read_text(encoding="utf-8")) == _sizes(folder)
    except (OSError, ValueError):
        return False


def suffix_of(head: bytes) -> str:
    """The suffix for audio that begins with these bytes."""
    return MAGIC.get(head[:4], ".mp3")
