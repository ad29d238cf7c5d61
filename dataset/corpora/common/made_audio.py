"""Audio that a corpus makes: a folder of the cache that is written once, and is whole or absent."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from dataset.storage.files import sweep, write_folder
from dataset.storage.locks import locked

if TYPE_CHECKING:
    import numpy as np

SIZES = "sizes.json"


def make_once(folder: Path, write: Callable[[Path], None]) -> None:
    """Fill ``folder``, unless it holds every file at the size that was written. A second process waits.

    Args:
        write: writes the files into the empty folder that it is called with.
    """
    if _is_whole(folder):
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(Path(f"{folder}.lock")):
        if not _is_whole(folder):
            sweep(folder.parent, folder.name)
            write_folder(folder, lambda target: _write(target, write))


def write_wav(path: Path, samples: np.ndarray, sample_rate: int) -> int:
    """Write a waveform (T,) with 16 bits a sample, and return the bytes of the file.

    Raises:
        OSError: the disk is full or refuses; soundfile alone would hide which.
    """
    import soundfile

    content = io.BytesIO()
    soundfile.write(content, samples, sample_rate, format="WAV", subtype="PCM_16")
    return path.write_bytes(content.getbuffer())


def _write(target: Path, write: Callable[[Path], None]) -> None:
    write(target)
    files = sorted(path for path in target.rglob("*") if path.is_file())
    sizes = {path.relative_to(target).as_posix(): path.stat().st_size for path in files}
    (target / SIZES).write_text(json.dumps(sizes), encoding="utf-8")


def _is_whole(folder: Path) -> bool:
    try:
        sizes = json.loads((folder / SIZES).read_text("utf-8"))
        return all(os.path.getsize(folder / name) == size for name, size in sizes.items())
    except (OSError, ValueError, AttributeError):
        return False
