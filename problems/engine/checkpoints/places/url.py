"""Trained models at URLs: each exported folder is downloaded once, and verified by its manifest."""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from dataset.places import remote
from dataset.places.audio_error import AudioError
from dataset.storage.files import write_folder
from dataset.storage.locks import locked
from problems.engine.checkpoints import store
from problems.engine.runtime.environment import cache_folder
from problems.engine.runtime.errors import CheckpointError

MODELS = "models"
"""The folder of the cache with downloaded models."""
BLOCK_BYTES = 64 << 20
LARGEST_MANIFEST = 1 << 20

log = logging.getLogger(__name__)


def download(url: str) -> Path:
    """The folder in the cache of the model at a URL. What is there and whole is not asked for again.

    Raises:
        CheckpointError: the URL cannot be read, is not an exported model, or a file is not what its manifest says.
    """
    url = url.rstrip("/")
    folder = _folder_of(url)
    with locked(folder.with_name(f"{folder.name}.lock")):
        if store.damage(folder) is None:
            log.info("%s: taken from %s, where it was downloaded to; remove that to download it again", url, folder)
            return folder
        try:
            files = _listed(url)
            write_folder(folder, lambda temporary: _fill(temporary, url, files))
        except AudioError as error:
            raise CheckpointError(f"the model cannot be downloaded: {error}") from error
        except OSError as error:
            raise CheckpointError(f"cannot write {folder}: {error.strerror or error}; free disk space") from error
        if problem := store.damage(folder):
            raise CheckpointError(f"{url} is damaged: {problem}; export it again, and copy it there again")
    return folder


def _folder_of(url: str) -> Path:
    name = PurePosixPath(url).name or "model"
    digest = hashlib.sha256(url.encode()).hexdigest()[:12]
    return cache_folder({"cache_dir": None}) / MODELS / f"{name[:40]}-{digest}"


def _listed(url: str) -> dict[str, int]:
    """The sizes of a model's files by name, its manifest among them."""
    manifest = _joined(url, store.MANIFEST)
    size = remote.size(manifest)
    try:
        listed: dict[str, Any] = json.loads(remote.read(manifest, 0, min(size, LARGEST_MANIFEST)))["files"]
        sizes = {name: int(own["bytes"]) for name, own in listed.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise CheckpointError(
            f"{manifest} is not the manifest of a model: expected a folder that export wrote"
        ) from None
    for name in sizes:
        if not store.is_inside(name):
            raise CheckpointError(f"{manifest} lists {name!r}, which is not a name inside the folder: do not trust it")
    return {**sizes, store.MANIFEST: size}


def _fill(folder: Path, url: str, sizes: dict[str, int]) -> None:
    log.info("downloading %s: %.1f MB", url, sum(sizes.values()) / 1e6)
    for name, size in sizes.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "wb") as file:
            for offset in range(0, size, BLOCK_BYTES):
                file.write(remote.read(_joined(url, name), offset, min(BLOCK_BYTES, size - offset)))


def _joined(url: str, name: str) -> str:
    """The URL of a file."""
    is_web = url.startswith(("http://", "https://"))
    return f"{url}/{quote(name) if is_web else name}"
