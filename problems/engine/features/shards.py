"""Features in files: each there whole or not at all, shared by processes, checked when read, bounded in size.

A shard is a safetensors file with the states of some utterances, memory-mapped where it is read. It is written under
another name, made durable and renamed, so that a kill leaves no half of one. Its name is a digest of its header, and
the header has the checksum of every entry: no byte of it can change unseen. A reader holds a shared lock (flock) on it
as long as it lives, and only what nobody holds makes way for new ones, the least recently used first.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import logging
import os
import resource
import secrets
import shutil
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from dataset.files import fsync
from problems.engine.features.eviction import SUFFIX, CannotKeepError, all_shards, make_room, mutex, sweep, unused

log = logging.getLogger(__name__)

States = list[torch.Tensor]


class Shards:
    """The features that one upstream gave, in one folder.

    Notation: L layers of an utterance, T frames, H features.

    Args:
        folder: of this upstream and kind; the folders beside it hold those of others.
        layers: which layers are read and written, L numbers. Shards with more layers serve as well.
        limit: bytes that the shards in this folder and those beside it may take together.
    """

    def __init__(self, folder: Path, layers: Sequence[int], limit: int):
        self.folder, self.layers, self.limit = Path(folder), list(layers), limit
        self._where: dict[str, _Shard] = {}
        self._checked: set[str] = set()
        self._open: dict[str, _Shard] = {}
        _allow_open_files()

    def find(self, keys: Iterable[str]) -> set[str]:
        """Take up every shard that has one of ``keys``; which of them are there. What killed writers left goes."""
        keys = set(keys)
        wanted = keys - self._where.keys()
        if self.folder.is_dir() and wanted:
            with contextlib.suppress(OSError), mutex(self.folder.parent):  # a cache may be there to read only
                sweep(self.folder)
            for path in sorted(self.folder.glob(f"[!.]*{SUFFIX}")):
                if wanted and path.name not in self._open:
                    wanted -= self._take(path, wanted)
        return keys & self._where.keys()

    def _take(self, path: Path, wanted: set[str]) -> set[str]:
        """Use a shard for those ``wanted`` that it has."""
        try:
            shard = _Shard(path)
        except FileNotFoundError:  # made way just now
            return set()
        except (OSError, RuntimeError) as error:  # no locks, or too many open files, which torch says in its own way
            log.warning("%s is not used: %s", path, error)
            return set()
        except (SafetensorError, ValueError, KeyError) as error:
            _remove_damaged(path, str(error))
            return set()
        found = wanted & shard.keys if shard.has(self.layers) else set()
        if found:
            self._open[path.name] = shard
            self._where.update(dict.fromkeys(found, shard))
            with contextlib.suppress(OSError):
                os.utime(path)  # used now
        else:
            shard.close()
        return found

    def __contains__(self, key: str) -> bool:
        return key in self._where

    def get(self, key: str) -> States | None:
        """The L states (T, H) of an utterance, mapped, not copied; None where they are not there.

        The first reading in a process checks every byte of them. What is damaged is named, and its shard removed.
        """
        shard = self._where.get(key)
        if shard is None:
            return None
        if key not in self._checked:
            damage = shard.damage(key)
            if damage:
                _remove_damaged(shard.path, damage)
                del self._where[key]
                return None
            self._checked.add(key)
        return shard.states(key, self.layers)

    def bytes(self) -> int:
        """Bytes of the shards in use."""
        return sum(shard.size for shard in self._open.values())

    def room(self) -> int:
        """Bytes that could be written: what limit and disk leave, with what can make way."""
        shards = list(all_shards(self.folder.parent))
        evictable = sum(size for path, size, _ in shards if unused(path))
        free = shutil.disk_usage(next(p for p in (self.folder, *self.folder.parents) if p.exists())).free
        return min(self.limit - sum(size for _, size, _ in shards), free) + evictable

    def write(self, entries: Mapping[str, States]) -> None:
        """Make a shard of these utterances appear, whole and durable, and use it. Each has its L states (T, H).

        Raises:
            CannotKeepError: no room, or the folder cannot be written; nothing is left of it.
        """
        content = _serialised(entries, self.layers)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with mutex(self.folder.parent):
                make_room(self.folder.parent, self.limit, len(content), unwritten=len(content))
            with self._temporary() as (temporary, file):
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
                path = self.folder / f"{_header_digest(content)}{SUFFIX}"
                with mutex(self.folder.parent):
                    make_room(self.folder.parent, self.limit, len(content))  # others may have written since
                    os.replace(temporary, path)
                    fsync(self.folder)
                    fcntl.flock(file, fcntl.LOCK_SH)  # no longer being written
                    if not self._take(path, set(entries)) and entries:
                        raise OSError(errno.EMFILE, "it was written and cannot be opened")
        except OSError as error:
            why = "the disk is full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else str(error)
            raise CannotKeepError(f"{self.folder}: {why}") from error

    @contextlib.contextmanager
    def _temporary(self) -> Iterator[tuple[Path, Any]]:
        """A new file under its writer's lock, by which what is being written is told from what a killed one left."""
        path = self.folder / f".{secrets.token_hex(8)}.tmp"
        try:
            with contextlib.ExitStack() as stack:
                with mutex(self.folder.parent):
                    file = stack.enter_context(open(path, "x+b"))
                    fcntl.flock(file, fcntl.LOCK_EX)
                yield path, file
        finally:
            path.unlink(missing_ok=True)


def _allow_open_files() -> None:
    """Let this process hold as many files as it may ask for: each shard in use is one, and the usual limit is 1024."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


class _Shard:
    """One file, mapped and held.

    Raises:
        FileNotFoundError: it was removed.
        SafetensorError, ValueError, KeyError: its header is damaged, or the file is cut short.
    """

    def __init__(self, path: Path):
        self.path = path
        self._lock = open(path, "rb")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_SH)
            stat = os.fstat(self._lock.fileno())
            if stat.st_nlink == 0:
                raise FileNotFoundError(path)
            self.size = stat.st_size
            if f"{_header_digest(self._lock)}{SUFFIX}" != path.name:
                raise ValueError("its header is not the one that was written")
            self._file = safe_open(path, "pt")
            metadata = self._file.metadata()
            self._columns = {layer: column for column, layer in enumerate(json.loads(metadata["layers"]))}
            self._checksums: dict[str, list[int]] = json.loads(metadata["crc32"])
            self.keys = self._checksums.keys()
        except BaseException:
            self._lock.close()
            raise

    def has(self, layers: Sequence[int]) -> bool:
        return self._columns.keys() >= set(layers)

    def close(self) -> None:
        self._lock.close()

    def _tensors(self, key: str) -> list[torch.Tensor]:
        names = [key] if len(self._checksums[key]) == 1 else _names(key, len(self._checksums[key]))
        return [self._file.get_tensor(name) for name in names]

    def damage(self, key: str) -> str | None:
        """What is wrong with the bytes of an entry."""
        for tensor, expected in zip(self._tensors(key), self._checksums[key]):
            found = _crc(tensor)
            if found != expected:
                return f"the features {key} have checksum {found:08x}, {expected:08x} was written"
        return None

    def states(self, key: str, layers: Sequence[int]) -> States:
        tensors = self._tensors(key)
        rows = tensors[0].unbind() if len(tensors) == 1 else tensors
        return [rows[self._columns[layer]] for layer in layers]


def _names(key: str, count: int) -> list[str]:
    return [f"{key}/{number}" for number in range(count)]


def _crc(tensor: torch.Tensor) -> int:
    return zlib.crc32(tensor.reshape(-1).view(torch.uint8).numpy().data) if tensor.numel() else 0


def _serialised(entries: Mapping[str, States], layers: Sequence[int]) -> bytes:
    """A shard's bytes. Layers of one shape are one tensor (L, T, H); others, a tensor each."""
    tensors: dict[str, torch.Tensor] = {}
    checksums: dict[str, list[int]] = {}
    for key, states in entries.items():
        if len({state.shape for state in states}) == 1:
            made = {key: torch.stack(states)}
        else:
            made = {name: state.contiguous() for name, state in zip(_names(key, len(states)), states)}
        tensors |= made
        checksums[key] = [_crc(tensor) for tensor in made.values()]
    return save(tensors, {"layers": json.dumps(list(layers)), "crc32": json.dumps(checksums)})


def _header_digest(source: Any) -> str:
    """The digest of a safetensors header, from bytes or an open file: 8 bytes of length, then so many of JSON."""
    head = source[:8] if isinstance(source, bytes) else source.read(8)
    size = int.from_bytes(head, "little")
    left = len(source) if isinstance(source, bytes) else os.fstat(source.fileno()).st_size
    header = source[8 : 8 + size] if isinstance(source, bytes) else source.read(min(size, left))
    return hashlib.blake2b(head + header, digest_size=16).hexdigest()


def _remove_damaged(path: Path, damage: str) -> None:
    try:
        path.unlink(missing_ok=True)
        done = "removed"
    except OSError as error:
        done = f"left, since it cannot be removed ({error.strerror})"
    log.warning("%s is damaged: %s. It is %s; what it held is computed again", path, damage, done)
