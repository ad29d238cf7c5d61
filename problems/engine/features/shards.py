"""Feature files: whole or absent, checksummed, memory-mapped, shared by processes.

A shard is a safetensors file with the states of some utterances. It is written under a temporary name, synced and
renamed, so that a kill leaves no partial shard. Its name is a digest of its header, and the header has the checksum of
every entry: a changed byte is always detected. A reader holds a shared lock (flock) on the shard as long as it has it
open; shards that nobody has open are evicted if space is needed, the least recently used first.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import io
import json
import logging
import os
import re
import resource
import secrets
import shutil
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from dataset.storage.files import fsync
from problems.engine.features.eviction import SUFFIX, CannotCacheError, all_shards, is_unused, make_room, mutex, sweep
from problems.engine.features.quantisation import LayerErrors

log = logging.getLogger(__name__)

States = list[torch.Tensor]


def folder_name(upstream: str, digest: str, kind: str) -> str:
    """The name of the folder of an upstream's shards. Files in another format need another name.

    Args:
        upstream: the name of its class.
        kind: how states are stored.
    """
    return f"{re.sub(r'[^A-Za-z0-9_]', '', upstream)}-{digest[:16]}-{kind}"


class Shards:
    """The features of one upstream, in one folder.

    Notation: L layers of an utterance, T frames, H features.

    Args:
        folder: the folder of this upstream and type. Its siblings hold the features of others.
        layers: the numbers of the L layers that are read and written. Shards with more layers are read too.
        limit: bytes that the shards in this folder and its siblings may take together.
    """

    def __init__(self, folder: Path, layers: Sequence[int], limit: int):
        self.folder, self.layers, self.limit = Path(folder), list(layers), limit
        self._shard_of: dict[str, _Shard] = {}  # by key
        self._verified: set[str] = set()  # keys
        self._opened: dict[str, _Shard] = {}  # by file name
        _allow_open_files()

    def open(self, keys: Iterable[str]) -> set[str]:
        """Open every shard that holds any of ``keys``, and return the keys found.

        Temporary files of killed writers are deleted.
        """
        keys = set(keys)
        wanted = keys - self._shard_of.keys()
        if self.folder.is_dir() and wanted:
            with contextlib.suppress(OSError), mutex(self.folder.parent):  # a cache may be read-only
                sweep(self.folder)
            for path in sorted(self.folder.glob(f"[!.]*{SUFFIX}")):
                if wanted and path.name not in self._opened:
                    wanted -= self._open_shard(path, wanted)
        return keys & self._shard_of.keys()

    def _open_shard(self, path: Path, wanted: set[str]) -> set[str]:
        """Open a shard if it holds any of ``wanted``, and return those that it holds."""
        try:
            shard = _Shard(path)
        except FileNotFoundError:  # evicted just now
            return set()
        except (OSError, RuntimeError) as error:  # no locks; too many open files is a RuntimeError of torch
            log.warning("%s is not used: %s", path, error)
            return set()
        except (SafetensorError, ValueError, KeyError) as error:
            _remove_damaged(path, str(error))
            return set()
        keys = wanted & shard.keys if shard.has(self.layers) else set()
        if not keys:
            shard.close()
            return keys
        self._opened[path.name] = shard
        self._shard_of.update(dict.fromkeys(keys, shard))
        with contextlib.suppress(OSError):
            os.utime(path)  # used now
        return keys

    def get(self, key: str) -> States | None:
        """The L states (T, H) of an utterance, mapped, not copied; None if no open shard holds them.

        The first access in a process verifies every byte. A damaged shard is logged and deleted.
        """
        shard = self._shard_of.get(key)
        if shard is None:
            return None
        if key not in self._verified:
            damage = shard.damage(key)
            if damage:
                _remove_damaged(shard.path, damage)
                del self._shard_of[key]
                return None
            self._verified.add(key)
        return shard.states(key, self.layers)

    def bytes(self) -> int:
        """The bytes of the open shards."""
        return sum(shard.size for shard in self._opened.values())

    def room(self) -> int:
        """The bytes that could be written within the limit and on the disk, after evictions."""
        shards = list(all_shards(self.folder.parent))
        evictable = sum(size for path, size, _ in shards if is_unused(path))
        free = shutil.disk_usage(next(p for p in (self.folder, *self.folder.parents) if p.exists())).free
        return min(self.limit - sum(size for _, size, _ in shards), free) + evictable

    def write(self, entries: Mapping[str, States]) -> None:
        """Write a shard of these utterances, atomically and durably, and open it.

        Args:
            entries: the L states (T, H) of each utterance, by key.

        Raises:
            CannotCacheError: no room, or the folder cannot be written. No file remains.
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
                path = self.folder / f"{_header_digest(io.BytesIO(content), len(content))}{SUFFIX}"
                with mutex(self.folder.parent):
                    make_room(self.folder.parent, self.limit, len(content))  # others may have written since
                    os.replace(temporary, path)
                    fsync(self.folder)
                    fcntl.flock(file, fcntl.LOCK_SH)  # no longer being written
                    if not self._open_shard(path, set(entries)) and entries:
                        raise OSError(errno.EMFILE, "the shard was written but cannot be opened")
        except OSError as error:
            why = "the disk is full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else str(error)
            raise CannotCacheError(f"{self.folder}: {why}") from error

    @contextlib.contextmanager
    def _temporary(self) -> Iterator[tuple[Path, BinaryIO]]:
        """A temporary file, locked by its writer; an unlocked one is a leftover of a killed writer."""
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
    """Raise this process's limit of open files, usually 1024, to its maximum: each open shard is a file."""
    _, maximum = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (maximum, maximum))


class _Shard:
    """One shard, memory-mapped and locked for reading.

    Raises:
        FileNotFoundError: the file was removed.
        SafetensorError, ValueError, KeyError: the header is damaged, or the file is truncated.
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
            if f"{_header_digest(self._lock, self.size)}{SUFFIX}" != path.name:
                raise ValueError("its header was changed")
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
        """Describe the damage to the bytes of an entry; None if there is none."""
        for tensor, expected in zip(self._tensors(key), self._checksums[key]):
            checksum = _crc(tensor)
            if checksum != expected:
                return f"the features {key} have the checksum {checksum:08x}, expected {expected:08x}"
        return None

    def states(self, key: str, layers: Sequence[int]) -> States:
        tensors = self._tensors(key)
        rows = tensors[0].unbind() if len(tensors) == 1 else tensors
        return [rows[self._columns[layer]] for layer in layers]


def keys_in(path: Path) -> set[str]:
    """The keys of the utterances in a shard; none if it cannot be read."""
    try:
        shard = _Shard(path)
    except (OSError, RuntimeError, SafetensorError, ValueError, KeyError):
        return set()
    shard.close()
    return set(shard.keys)


def _names(key: str, count: int) -> list[str]:
    return [f"{key}/{number}" for number in range(count)]


def _crc(tensor: torch.Tensor) -> int:
    return zlib.crc32(tensor.reshape(-1).view(torch.uint8).numpy().data) if tensor.numel() else 0


def _serialised(entries: Mapping[str, States], layers: Sequence[int]) -> bytes:
    """The bytes of a shard. Layers of the same shape become one tensor (L, T, H), others one tensor each."""
    tensors: dict[str, torch.Tensor] = {}
    checksums: dict[str, list[int]] = {}
    for key, states in entries.items():
        if len({state.shape for state in states}) == 1:
            entry = {key: torch.stack(states)}
        else:
            entry = {name: state.contiguous() for name, state in zip(_names(key, len(states)), states)}
        tensors |= entry
        checksums[key] = [_crc(tensor) for tensor in entry.values()]
    metadata = {"layers": json.dumps(list(layers)), "crc32": json.dumps(checksums)}
    errors = LayerErrors()
    for states in entries.values():
        if states[0].dtype == torch.int8:
            errors.add(states)
    if errors.squared_error:
        metadata["relative_error"] = json.dumps([round(error, 6) for error in errors.relative()])
    return save(tensors, metadata)


def _header_digest(file: BinaryIO, size: int) -> str:
    """The digest of the header of a safetensors file of ``size`` bytes: 8 bytes of length, then that many of JSON."""
    length = file.read(8)
    header = file.read(min(int.from_bytes(length, "little"), size))
    return hashlib.blake2b(length + header, digest_size=16).hexdigest()


def _remove_damaged(path: Path, damage: str) -> None:
    try:
        path.unlink(missing_ok=True)
        outcome = "was deleted"
    except OSError as error:
        outcome = f"cannot be deleted ({error.strerror})"
    log.warning("%s is damaged: %s. It %s; its features are computed again", path, damage, outcome)
