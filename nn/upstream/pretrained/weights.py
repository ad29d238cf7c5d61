"""Pretrained weights in torch.hub's folder: downloaded once, resumed after an interruption, checked by SHA-256.

Folder and file names are torch.hub's, so that torchaudio and this module find each other's files. The download is our
own because torch.hub starts over after an interruption, and lets two processes download the same file at once.
torchaudio publishes no digests of its weights. The digest of the first complete download is kept beside the file, and
every later use is checked against it.
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


def fetch(url: str, name: str) -> Path:
    """The file ``name`` in torch.hub's folder, downloaded from ``url`` if it does not exist.

    Any number of processes may call this at once: one downloads, the others wait for it. A killed process leaves a
    ``.partial`` file, which the next one continues.

    Raises:
        ValueError: the file cannot be downloaded, the disk is full, or the file has changed since its download.
    """
    path = Path(torch.hub.get_dir()) / "checkpoints" / name
    record = path.with_name(f"{name}.sha256")
    if not (path.exists() and (record.exists() or not os.access(path.parent, os.W_OK))):
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            if not path.exists():
                log.info("downloading %s to %s", url, path)
                _download(url, path)
            if not record.exists():
                fresh = path.with_name(f"{name}.sha256.partial")
                fresh.write_text(_digest(path) + "\n")
                fresh.replace(record)
    if record.exists() and _digest(path) != record.read_text().strip():
        raise ValueError(
            f"{path} has changed since it was downloaded (its SHA-256 differs from {record.name}): delete both files to"
            " download it again"
        )
    return path


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _download(url: str, path: Path) -> None:
    """Download ``url`` to ``path`` through ``path.partial``, resuming after each interruption that made progress."""
    partial = path.with_name(f"{path.name}.partial")
    tag = path.with_name(f"{path.name}.etag")
    while True:
        size_before = _size(partial)
        try:
            _resume(url, partial, tag)
        except urllib.error.HTTPError as error:
            if error.code != 416:
                raise _unreachable(url, path, error) from error
            partial.unlink()  # longer than the file on the server: another file
            tag.unlink()
        except (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError) as error:
            if _size(partial) <= size_before:
                raise _unreachable(url, path, error) from error
            log.warning("download of %s interrupted (%s); resuming at byte %d", url, error, _size(partial))
        else:
            partial.replace(path)
            tag.unlink(missing_ok=True)
            return


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _unreachable(url: str, path: Path, error: Exception) -> ValueError:
    return ValueError(
        f"the pretrained weights {path.name} are not in the cache and cannot be downloaded: {url}: {error}. Download"
        f" them on a machine with a network and copy them to {path}, or set build_upstream.conf.checkpoint to a local"
        " file, or to random for random weights"
    )


def _resume(url: str, partial: Path, tag: Path) -> None:
    """Append the missing bytes of ``url`` to ``partial``; start over if the server's file does not match ``tag``."""
    start = _size(partial) if tag.exists() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "soundstage"})
    if start:
        request.add_header("Range", f"bytes={start}-")
        request.add_header("If-Range", tag.read_text())
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
        resumed = answer.status == 206
        start = start if resumed else 0
        total = start + int(answer.headers.get("Content-Length") or 0)
        _require_room(partial, total - start)
        entity = answer.headers.get("ETag", "")
        if entity and not entity.startswith("W/"):
            tag.write_text(entity)
        else:
            tag.unlink(missing_ok=True)  # the file cannot be recognised later: an interruption starts over
        with (
            open(partial, "ab" if resumed else "wb") as file,
            tqdm(total=total or None, initial=start, unit="B", unit_scale=True, desc=partial.stem, leave=False) as bar,
        ):
            while chunk := answer.read(CHUNK):
                file.write(chunk)
                bar.update(len(chunk))
            file.flush()
            os.fsync(file.fileno())
    if total and _size(partial) != total:
        raise ConnectionError(f"received {_size(partial)} of {total} bytes")


def _require_room(partial: Path, needed: int) -> None:
    free = shutil.disk_usage(partial.parent).free
    if needed > free:
        raise ValueError(
            f"the disk is full: pretrained weights in {partial.parent} need {needed:,} bytes, {free:,} are free; set"
            " TORCH_HOME to a folder on another disk"
        )
