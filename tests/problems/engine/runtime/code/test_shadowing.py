"""Another package of one of our names is reported with both places; a plain folder of that name does no harm."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.parts.commands import command


@pytest.mark.parametrize("name", ["dataset", "nn", "tasks", "configs"])
@pytest.mark.parametrize("kind", ["package", "module"])
def test_a_module_that_shadows_ours_is_reported_with_both_places(tmp_path, name, kind):
    path = tmp_path / name / "__init__.py" if kind == "package" else tmp_path / f"{name}.py"
    path.parent.mkdir(exist_ok=True)
    path.write_text("theirs = True\n")
    done = command("config", cwd=tmp_path)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert str(path) in done.stderr and str(ROOT / name) in done.stderr and "rename" in done.stderr
    code = "import problems"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert "ImportError" in done.stderr and str(ROOT / name) in done.stderr


def test_plain_folders_of_our_names_do_no_harm(tmp_path):
    for name in ("dataset", "configs", "nn", "tasks"):
        (tmp_path / name).mkdir()
    (tmp_path / "configs/mine.yaml").write_text("train: {seed: 5}")
    done = command("config", "--config", "configs/mine.yaml", cwd=tmp_path)
    assert done.returncode == 0 and "seed: 5" in done.stdout, done.stderr
