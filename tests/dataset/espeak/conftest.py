"""Recordings for the tests of the synthesiser, made once."""

from __future__ import annotations

import pytest

from dataset.espeak import synthesise
from tests.parts.sentences import SENTENCES


@pytest.fixture(scope="session")
def recordings(tmp_path_factory):
    """The cache and the recordings of ``SENTENCES``."""
    pytest.importorskip("espeakng_loader", reason="espeakng-loader (extra [toy]) is not installed")
    folder = tmp_path_factory.mktemp("cache")
    return folder, synthesise(SENTENCES, folder)
