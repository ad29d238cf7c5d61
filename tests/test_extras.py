"""Extras: each that a message, a page or the Makefile names can be installed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PLACES = ("Makefile", "Dockerfile", "README.md", "docs/**/*.md", *(f"{own}/**/*.py" for own in ("dataset", "nn")))
PLACES += ("problems/**/*.py", "tasks/**/*.py", "benchmarks/**/*.py")
NAMED = re.compile(r"(?:soundstage|--editable '\.|EXTRAS=)\[?([a-z0-9,]+)\b(?:\]|$)", re.MULTILINE)


def named() -> dict[str, set[str]]:
    """Extras by the file that names them."""
    files = [path for place in PLACES for path in sorted(ROOT.glob(place))]
    found = {str(path.relative_to(ROOT)): NAMED.findall(path.read_text("utf-8")) for path in files}
    return {file: {own for text in texts for own in text.split(",")} for file, texts in found.items() if texts}


def test_every_extra_that_is_named_exists():
    tomllib = pytest.importorskip("tomllib")  # since Python 3.11
    known = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    files = named()
    assert {"Makefile", "Dockerfile", "docs/upstreams.md"} <= files.keys()
    assert {file: own - known.keys() for file, own in files.items() if own - known.keys()} == {}
