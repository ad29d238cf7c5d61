"""The pages build as a site without a warning, the reference is made of the docstrings, and a dead link is an error."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from tests.conftest import ROOT

pytest.importorskip("material", reason="pip install 'soundstage[docs]'")
pytest.importorskip("mkdocstrings", reason="pip install 'soundstage[docs]'")


@pytest.fixture
def build(tmp_path):
    """Build a copy of the pages, whose folder is ``tmp_path``."""
    for name in ("mkdocs.yml", "docs", "problems", "tasks", "nn", "dataset"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile
        copy(ROOT / name, tmp_path / name)

    def run() -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--clean"]
        environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=200)

    return run


def test_the_site_is_built_strictly_and_can_be_searched(build, tmp_path):
    done = build()
    assert done.returncode == 0, done.stderr
    site = tmp_path / "build" / "site"
    reference = (site / "api.html").read_text("utf-8")
    for words in ("partial and final results", "its confidence in", "padded seconds of a batch", "StepOutput"):
        assert words in reference, words
    assert "CONTRIBUTING.md</code>" in (site / "map.html").read_text("utf-8")
    texts = json.loads((site / "search" / "search_index.json").read_text("utf-8"))["docs"]
    assert {"index.html", "api.html", "cookbook.html"} <= {own["location"].partition("#")[0] for own in texts}
    pages = {page.stem for page in (ROOT / "docs").glob("*.md")}
    listed = set(re.findall(r": (\w+)\.md$", (ROOT / "mkdocs.yml").read_text("utf-8"), re.M))
    assert pages == listed, "each page has its place in nav"
    requested = re.findall(
        r'(?:src|href)="(https?://[^"]+\.(?:js|css|woff2?))"', (site / "index.html").read_text("utf-8")
    )
    assert not requested, "a page loads nothing from elsewhere"


@pytest.mark.parametrize("link", ["nowhere.md", "inference.md#no-such-heading"])
def test_a_dead_link_is_an_error(build, tmp_path, link):
    with open(tmp_path / "docs" / "running.md", "a") as file:
        file.write(f"\n[dead]({link})\n")
    done = build()
    assert done.returncode != 0 and link.partition("#")[2] in done.stderr and "running.md" in done.stderr
