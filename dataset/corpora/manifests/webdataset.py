"""Tar files in the layout of WebDataset: the members of a sample share a key and stand together."""

from __future__ import annotations

import dataclasses
import logging
import re
import tarfile
import zlib
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path

from dataset.corpora.common.base import CorpusError, Row
from dataset.corpora.common.folders import AUDIO, absolute
from dataset.corpora.common.tables import Lines
from dataset.corpora.manifests.archives import Archives
from dataset.corpora.manifests.records import cell, json_object

AUDIO_EXTENSIONS = tuple(suffix.removeprefix(".") for suffix in AUDIO)

Member = tuple[str, bytes]
"""The name of a member of a tar file, and its content if that was asked for."""

log = logging.getLogger(__name__)


@dataclasses.dataclass
class WebDataset(Archives):
    """Tar files (or ``.tar.gz``), a folder of them, or ``shard-{000..012}.tar``.

    A sample is one audio member, ``KEY.wav`` (or flac, ogg, mp3), and ``KEY.txt``, ``KEY.cls`` or ``KEY.json`` in any
    combination; other members are not read. The audio is unpacked once into the cache.

    Columns: ``id`` (the key, after ``<tar file>/`` if two files have the same keys), ``wav_path``; ``transcription`` of
    ``.txt``, or of ``text`` in the JSON (the later member counts); ``label`` of ``.cls``; and all other keys of the
    JSON.
    """

    unit = "sample"
    ids_are_global = False

    def _parse(self, path: Path) -> tuple[Path, Lines]:
        rows = {shard: list(_rows(shard)) for shard in shards(path)}
        keys = [row["id"] for own in rows.values() for row in own]
        if len(rows) > 1 and len(set(keys)) < len(keys):  # keys that begin anew in each file
            for shard, own in rows.items():
                for row in own:
                    row["id"] = f"{shard.name.partition('.')[0]}/{row['id']}"
        return path, list(enumerate((row for own in rows.values() for row in own), start=1))

    def _files(self, path: str) -> list[Path]:
        return shards(absolute(path))

    def _unpack(self, archive: Path, folder: Path) -> None:
        for number, (_, members) in enumerate(_samples(archive, AUDIO_EXTENSIONS.__contains__)):
            for name, content in members:
                if _extension(name) in AUDIO_EXTENSIONS:
                    (folder / _name(number, name)).write_bytes(content)

    def _name_of(self, path: str) -> str:
        return re.split(r"[-_.]?\{", Path(path).name)[0].partition(".")[0]


def shards(path: Path) -> list[Path]:
    """The tar files that a path means: of a folder, all in it; of ``{000..012}``, one for each number."""
    if path.is_dir():
        return sorted(file for file in path.iterdir() if re.search(r"\.(tar|tar\.gz|tgz)$", file.name))
    numbers = re.search(r"\{(\d+)\.\.(\d+)\}", path.name)
    if not numbers:
        return [path]
    first, last = numbers.groups()
    names = (f"{number:0{len(first)}d}" for number in range(int(first), int(last) + 1))
    return [path.with_name(path.name.replace(numbers[0], name)) for name in names]


def _key(name: str) -> str:
    """The path of a member up to the first dot of its file name."""
    folder, slash, file = name.rpartition("/")
    return folder + slash + file.partition(".")[0]


def _extension(name: str) -> str:
    """The rest of the name after the first dot, in lower case."""
    return name.rpartition("/")[2].partition(".")[2].lower()


def _name(number: int, member: str) -> str:
    """The name of the audio of a sample; a member's own name could lead out of the folder."""
    return f"{number:08d}.{_extension(member)}"


def _samples(shard: Path, is_read: Callable[[str], bool]) -> Iterator[tuple[str, list[Member]]]:
    """Key and members of each sample of a tar file."""
    for key, members in groupby(_members(shard, is_read), key=lambda member: _key(member[0])):
        yield key, list(members)


def _members(shard: Path, is_read: Callable[[str], bool]) -> Iterator[Member]:
    """The members of a tar file, read in one pass, which a compressed file needs.

    Args:
        is_read: tells by the extension whether the content of a member is needed.
    """
    try:
        with tarfile.open(shard) as tar:
            for member in tar:
                if member.isfile() and not member.name.startswith("__"):
                    yield member.name, tar.extractfile(member).read() if is_read(_extension(member.name)) else b""
    except FileNotFoundError:
        raise CorpusError(f"there is no file {shard}; check the paths in prepare_data") from None
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise CorpusError(f"{shard} is not a whole tar file ({error}); copy it again") from error


def _rows(shard: Path) -> Iterator[Row]:
    unread: set[str] = set()
    for number, (key, members) in enumerate(_samples(shard, TEXT.__contains__)):
        audio = [name for name, _ in members if _extension(name) in AUDIO_EXTENSIONS]
        if len(audio) != 1:
            names = ", ".join(name for name, _ in members)
            raise CorpusError(f"{shard}: the sample {key!r} has {len(audio)} audio members in {names}; expected one")
        row: Row = {}
        for name, content in members:
            if _extension(name) in TEXT:
                row |= TEXT[_extension(name)](content, f"{shard}, {name}")
            elif name not in audio:
                unread.add(_extension(name))
        yield {**row, "id": key, "wav_path": str(shard / _name(number, audio[0]))}
    if unread:
        log.info("%s: members with the extensions %s are not read", shard, ", ".join(sorted(unread)))


def _of_json(content: bytes, place: str) -> Row:
    record = json_object(content, place)
    return {"transcription" if key == "text" else key: cell(value) for key, value in record.items()}


def _text(content: bytes, place: str) -> str:
    try:
        return content.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise CorpusError(f"{place}: not UTF-8 ({error})") from error


TEXT: dict[str, Callable[[bytes, str], Row]] = {
    "json": _of_json,
    "txt": lambda content, place: {"transcription": _text(content, place)},
    "cls": lambda content, place: {"label": _text(content, place)},
}
"""The columns of a member, from its content, by its extension."""
