"""Marks of tests that want an optional package which must not be imported to look for it."""

from __future__ import annotations

import importlib.util

import pytest

needs_g2p = pytest.mark.skipif(importlib.util.find_spec("g2p_en") is None, reason="needs g2p_en")
