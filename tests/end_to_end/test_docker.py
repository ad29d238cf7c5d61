"""The Dockerfile installs what the project and its Makefile install: there is no docker to build it with here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import ROOT

tomllib = pytest.importorskip("tomllib", reason="Python 3.11")

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
ARGUMENTS = dict(re.findall(r"^ARG (\w+)=(.*)$", DOCKERFILE, re.M))


def test_torch_is_what_the_project_asks_for_and_every_extra_exists():
    named = re.findall(r"'(torch\w*[<>=][^']*)'", DOCKERFILE)
    assert named == [own for own in PROJECT["project"]["dependencies"] if own.startswith("torch")]
    extras = PROJECT["project"]["optional-dependencies"]
    pages = DOCKERFILE + (ROOT / "docs/docker.md").read_text("utf-8")
    chosen = [*ARGUMENTS["EXTRAS"].split(","), *",".join(re.findall(r"EXTRAS=([\w,]+)", pages)).split(",")]
    assert set(chosen) <= extras.keys()


def test_it_installs_as_the_makefile_does_with_a_python_that_is_supported():
    makefile = (ROOT / "Makefile").read_text("utf-8")
    (install,) = re.findall(r"python -m (pip install --quiet --editable) '\.\[toy,bpe\]'", makefile)
    assert install.replace("--quiet ", "") in DOCKERFILE
    least, most = re.search(r">=3\.(\d+),<3\.(\d+)", PROJECT["project"]["requires-python"]).groups()
    versions = re.findall(r"PYTHON=3\.(\d+)", DOCKERFILE + (ROOT / "docs/docker.md").read_text("utf-8"))
    assert len(versions) == 2 and all(int(least) <= int(own) < int(most) for own in versions)


def test_every_package_and_every_file_that_packaging_reads_is_copied():
    copied = {name for line in re.findall(r"^COPY (.*) \S+$", DOCKERFILE, re.M) for name in line.split()}
    packages = {own.removesuffix("*") for own in PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]}
    read = {PROJECT["project"]["readme"], *PROJECT["project"]["license-files"], "pyproject.toml"}
    assert copied == packages | read and all((ROOT / name).exists() for name in copied)
    ignored = {Path(line).name for line in (ROOT / ".dockerignore").read_text("utf-8").split()}
    assert not ignored & copied


def test_its_command_is_the_projects_and_does_not_run_as_root():
    assert 'ENTRYPOINT ["soundstage"]' in DOCKERFILE and "soundstage" in PROJECT["project"]["scripts"]
    assert DOCKERFILE.index("USER user") < DOCKERFILE.index("ENTRYPOINT")
