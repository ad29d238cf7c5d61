"""Fixtures of the tests of features."""

from __future__ import annotations

import pytest

from tests.parts.features import utterances


@pytest.fixture
def data(tmp_path):
    return utterances(tmp_path / "audio ü")


@pytest.fixture
def root(tmp_path):
    return tmp_path / "cache dir" / "features"
