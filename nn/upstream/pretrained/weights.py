"""Pretrained weights in torch.hub's folder: fetched once, resumed after an interruption, known by their SHA-256.

Folder and file names are torch.hub's, so that what torchaudio fetched is found here and the other way round. The
transfer is our own because torch.hub starts from nothing after an interruption, and lets two processes that ask at
once fetch the file twice. torchaudio publishes no digests of its weights: the one of the first transfer, whose length
is the server's, is kept beside the file, and every later use is checked against it. The lock is filelock's, which torch
needs anyway, since ``nn`` imports nothing of ``dataset``.
"""

from __future__ import annotations

import hashlib
import http.client
import logging
import os
import shutil
import urllib.error
import urllib.request
from pathlib import Path

import torch
from filelock import FileLock
from tqdm import tqdm

log = logging.getLogger(__name__)

TIMEOUT = 60.0  # seconds without a byte
CHUNK = 1 << 16


def fetched(url: str, name: str) -> Path:
    """The file ``name`` of torch.hub's folder, fetched from ``url`` where it is not there yet.

    Any number of processes may ask at once: one fetches, the others wait for it. A process that is killed leaves a
    ``.partial`` file, from whose end the next one goes on.

    Raises:
        ValueError: it cannot be fetched, there is no room for it, or it has changed since it was fetched.
    """
    path = Path(torch.hub.get_dir()) / "checkpoints" / name
    record = path.with_name(f"{name}.sha256")
    if not (path.exists() and (record.exists() or not os.access(path.parent, os.W_OK))):
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            if not path.exists():
                log.info("fetching %s to %s", url, path)
                _transfer(url, path)
            if not record.exists():
                fresh = path.with_name(f"{name}.sha256.partial")
                fresh.write_text(_digest(path) + "\n")
                fresh.replace(record)
    if record.exists() and _digest(path) != record.read_text().strip():
        raise ValueError(
            f"{path} has changed since it was fetched (its SHA-256 is not the one in {record.name}):"
            " remove both files, and it is fetched again"
        )
    return path


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        found = hashlib.sha256()
        while chunk := file.read(CHUNK):
            found.update(chunk)
    return found.hexdigest()


def _transfer(url: str, path: Path) -> None:
    """Fetch ``url`` into ``path`` through ``path.partial``; what broke off is taken up as long as more of it comes."""
    partial = path.with_name(f"{path.name}.partial")
    tag = path.with_name(f"{path.name}.etag")
    while True:
        had = _size(partial)
        try:
            _take_up(url, partial, tag)
        except urllib.error.HTTPError as error:
            if error.code != 416:
                raise _unreachable(url, path, error) from error
            partial.unlink()  # nothing is left to send from there: not the file that it was
            tag.unlink()
        except (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError) as error:
            if _size(partial) <= had:
                raise _unreachable(url, path, error) from error
            log.warning("%s broke off (%s); going on from byte %d", url, error, _size(partial))
        else:
            partial.replace(path)
            tag.unlink(missing_ok=True)
            return


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _unreachable(url: str, path: Path, error: Exception) -> ValueError:
    return ValueError(
        f"the pretrained weights {path.name} are not in the cache and cannot be fetched: {url}: {error}. Fetch them"
        f" where there is a network and put them there as {path}, or give conf.checkpoint a local file, or 'random' for"
        " random weights"
    )


def _take_up(url: str, partial: Path, tag: Path) -> None:
    """Append to ``partial`` what is missing of ``url``; begin anew where the server has another file than ``tag``."""
    have = _size(partial) if tag.exists() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "soundstage"})
    if have:
        request.add_header("Range", f"bytes={have}-")
        request.add_header("If-Range", tag.read_text())
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
        resumed = answer.status == 206
        have = have if resumed else 0
        total = have + int(answer.headers.get("Content-Length") or 0)
        _require_room(partial, total - have)
        entity = answer.headers.get("ETag", "")
        if entity and not entity.startswith("W/"):
            tag.write_text(entity)
        else:
            tag.unlink(missing_ok=True)  # nothing to know the file by: an interruption begins anew
        with (
            open(partial, "ab" if resumed else "wb") as file,
            tqdm(total=total or None, initial=have, unit="B", unit_scale=True, desc=partial.stem, leave=False) as bar,
        ):
            while chunk := answer.read(CHUNK):
                file.write(chunk)
                bar.update(len(chunk))
            file.flush()
            os.fsync(file.fileno())
    if total and _size(partial) != total:
        raise ConnectionError(f"{_size(partial)} of {total} bytes came")


def _require_room(partial: Path, needed: int) -> None:
    free = shutil.disk_usage(partial.parent).free
    if needed > free:
        raise ValueError(
            f"no room for pretrained weights in {partial.parent}: {needed:,} bytes are needed, {free:,} are free;"
            " set TORCH_HOME to a folder elsewhere"
        )
