"""A small FSDD for the tests, and the real one beside the repository."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.conftest import data_folder

RATE = 8000


def make_fsdd(root: Path) -> Path:
    """2 speakers x 10 digits x indices 0-8; each recording is a constant that identifies it."""
    (root / "recordings").mkdir()
    for speaker_number, speaker in enumerate(["ann", "bob"]):
        for digit in range(10):
            for index in range(9):
                value = 1 + index + 10 * digit + 100 * speaker_number
                path = root / "recordings" / f"{digit}_{speaker}_{index}.wav"
                soundfile.write(path, np.full(40 + digit, value, np.int16), RATE, subtype="PCM_16")
    (root / "recordings" / "acquire_data.py").write_text("not audio")
    return root


def real_fsdd() -> str:
    """The folder of the real corpus; skips the test if there is none."""
    folder = data_folder() / "fsdd"
    if not folder.is_dir():
        pytest.skip(f"real speech is not in {folder} (set SOUNDSTAGE_DATA)")
    return str(folder)
