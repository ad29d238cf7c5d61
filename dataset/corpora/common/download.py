"""Download a corpus on request, so that it is whole or absent."""

from __future__ import annotations

import os
import shutil
import urllib.error
from collections.abc import Callable
from pathlib import Path

from dataset.corpora.common.base import CorpusError
from dataset.storage.locks import locked


def fetch(target: Path, get: Callable[[Path], Path]) -> None:
    """Download into ``target`` with ``get`` if it does not exist. One process downloads, others wait for it.

    Args:
        get: downloads into the folder that it is given, and returns the path that becomes ``target``. After an
            interruption it finds the archives in that folder again, but not what it unpacked.

    Raises:
        CorpusError: the download failed.
    """
    if target.exists():
        return
    scratch = target.with_name(f".{target.name}.download")
    scratch.mkdir(parents=True, exist_ok=True)
    with locked(Path(f"{scratch}.lock")):
        if target.exists():
            return
        for leftover in scratch.iterdir():
            if leftover.is_dir():  # perhaps unpacked in part; archives are whole or continued
                shutil.rmtree(leftover)
        try:
            corpus = get(scratch)
        except (urllib.error.URLError, OSError, RuntimeError) as error:
            raise CorpusError(
                f"the download into {scratch} failed: {error}; run again to continue, or get the corpus by hand and "
                "set dataset_root to its folder"
            ) from error
        os.rename(corpus, target)
        shutil.rmtree(scratch)
