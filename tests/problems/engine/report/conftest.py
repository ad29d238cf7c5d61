"""A target folder to report on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.parts.target_folders import write_run


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """A whole run in ``asr/toy & Zürich``."""
    return write_run(tmp_path / "asr" / "toy & Zürich")
