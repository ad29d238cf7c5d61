"""Shards: tar files that any WebDataset reader opens, each written whole or not at all.

An utterance is ``<key>.<suffix>`` (its audio) and ``<key>.json`` (its columns). ``<shard>.json`` beside a shard holds
the places of its audio, and the digest of what it was made from, by which a complete shard is known.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path

from dataset.packing.member import member
from dataset.packing.plan import Shard
from dataset.places import remote
from dataset.places.audio_error import AudioError
from dataset.places.names import Part
from dataset.storage.files import read_json, replacing, write_json

INDEX = ".index.json"


class BadAudioError(AudioError):
    """Utterances of a shard cannot be read.

    Args:
        messages: one for each.
    """

    def __init__(self, messages: list[str]):
        super().__init__("\n".join(messages))
        self.messages = messages


def index_of(path: Path) -> Path:
    """The file beside a shard that holds the places of its audio."""
    return path.with_suffix(INDEX)


def complete_places(folder: Path, shard: Shard, url: str | None = None) -> list[str] | None:
    """The places in a shard that is complete and was made from the same; None for any other.

    Args:
        url: where the shard is, if not in the folder.
    """
    path = folder / shard.name
    try:
        index = read_json(index_of(path))
        if index["inputs"] != shard.digest():
            return None
        size = os.stat(path).st_size if url is None else remote.stored_size(f"{url}/{shard.name}")
        return list(index["places"]) if index["size"] == size else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_shard(folder: Path, shard: Shard, each: Callable[[], None], url: str | None = None) -> list[str]:
    """Write a shard and its index, and return the place of each utterance, relative to the folder.

    Args:
        each: called after each utterance; what it raises ends the writing.
        url: where the shard is moved once it is whole; its index stays in the folder.

    Raises:
        BadAudioError: utterances cannot be read; all are looked at, and no shard is left.
        OSError: the folder cannot be written to.
        AudioError: the URL cannot.
    """
    path, digest = folder / shard.name, shard.digest()
    places: list[str] = []
    messages: list[str] = []
    with replacing(path) as file:
        with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT, encoding="utf-8") as tar:
            for utterance in shard:
                try:
                    audio = member(utterance.place, utterance.start_sec, utterance.end_sec)
                except AudioError as error:
                    messages.append(f"{shard.rows.name} {utterance.columns['id']}: {error}")
                else:
                    offset = _add(tar, f"{utterance.key}.{audio.suffix}", audio.content)
                    _add(tar, f"{utterance.key}.json", json.dumps(utterance.columns).encode())
                    crc32 = zlib.crc32(audio.content)
                    part = Part(shard.name, offset, len(audio.content), crc32, audio.frames, audio.rate)
                    places.append(str(part))
                each()
        if messages:
            raise BadAudioError(messages)
        size = file.tell()
    if url is not None:
        remote.upload(path, f"{url}/{shard.name}")
        path.unlink()
    write_json(index_of(path), {"inputs": digest, "size": size, "places": places})
    return places


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> int:
    """Append a file and return the offset of its content. No time, owner or machine stands in it."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))
    return tar.offset - -(-len(content) // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
