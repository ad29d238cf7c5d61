"""Fixtures for tests of data."""

from __future__ import annotations

import pytest
import soundfile

from tests.parts.audio_files import tone


@pytest.fixture
def write(tmp_path):
    def write(name="a.wav", samples=None, rate=16000, **kwargs):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, tone() if samples is None else samples, rate, **kwargs)
        return path

    return write
