"""Corpora that are downloaded where a user asks for it: there whole, or not at all."""

from __future__ import annotations

import os
import shutil
import urllib.error
from collections.abc import Callable
from pathlib import Path

from dataset.corpora.common.base import CorpusError
from dataset.locks import locked


def fetch(target: Path, get: Callable[[Path], Path]) -> None:
    """Have ``target`` made by ``get`` where it is not there; of several processes one makes it, the others wait.

    Args:
        get: downloads into the folder that it is given, and returns the path that is to become ``target``. Archives
            that it left there are found again after an interruption; what it unpacked must be unpacked anew.

    Raises:
        CorpusError: the download failed, with the reason.
    """
    if target.exists():
        return
    scratch = target.with_name(f".{target.name}.download")
    scratch.mkdir(parents=True, exist_ok=True)
    with locked(Path(f"{scratch}.lock")):
        if target.exists():
            return
        for left in scratch.iterdir():  # archives are whole or continued; a folder may be half unpacked
            if left.is_dir():
                shutil.rmtree(left)
        try:
            made = get(scratch)
        except (urllib.error.URLError, OSError, RuntimeError) as error:
            raise CorpusError(
                f"the download into {scratch} failed: {error}; run again to go on, or get the corpus by hand and set "
                "dataset_root to its folder"
            ) from error
        os.rename(made, target)
        shutil.rmtree(scratch)
