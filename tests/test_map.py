"""docs/map.md is true: each file stands there with the sentence that opens it, and each row names files that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.conftest import ROOT

MAP = (ROOT / "docs/map.md").read_text("utf-8")
TOPS = ("problems", "tasks", "nn", "dataset")


def sentence(path: Path) -> str:
    """The first line of a module's docstring."""
    return (ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "").partition("\n")[0]


def tree(folder: Path, depth: int = 0) -> list[str]:
    """The lines of a folder: its packages and modules, each with its sentence."""
    packages = [path for path in folder.iterdir() if (path / "__init__.py").exists()]
    modules = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
    lines = [f"{'  ' * depth}{folder.name}/".ljust(34) + sentence(folder / "__init__.py")]
    lines += [f"{'  ' * depth}  {path.name}".ljust(34) + sentence(path) for path in sorted(modules)]
    return lines + [line for path in sorted(packages) for line in tree(path, depth + 1)]


def test_the_map_shows_each_file_with_its_sentence():
    expected = "\n".join(line for top in TOPS for line in tree(ROOT / top))
    shown = re.search(r"```text\n(.*?)\n```", MAP, re.DOTALL)[1]
    assert shown == expected, f"the tree in docs/map.md should read:\n\n{expected}"


def test_each_sentence_is_short_and_ends():
    for top in TOPS:
        for path in sorted((ROOT / top).rglob("*.py")):
            line = sentence(path)
            assert line.endswith(".") and len(line) <= 115, f"{path}: {line!r}"


def test_each_change_fits_in_two_files_that_exist():
    rows = [row.split("|")[1:3] for row in MAP.splitlines() if row.startswith("| ") and "`" in row]
    assert len(rows) >= 15
    for change, places in rows:
        paths = re.findall(r"`([\w/.<>]+)`", places)
        files = [path for path in paths if "/" in path]
        assert 1 <= len(files) <= 2, change
        for path in files:
            present = ROOT / re.sub(r"[^/]*<.*", "", path)
            assert present.exists(), f"{change}: {path} does not exist"
