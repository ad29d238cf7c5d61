"""The commands that belong to no problem tell what they take."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from problems.__main__ import COMMANDS, main
from problems.benchmark import superb, sweep
from tests.conftest import ROOT

OPTIONS = {
    "compare": ("baseline", "out"),
    "results": ("upstream_revision", "out", "protocol"),
    "run": ("parallel", "target_dir"),
    "superb": superb.OWN,
    "sweep": sweep.OWN,
    "upstream": ("reference", "save_reference"),
}


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("words", [["--help"], ["-h"], ["anything", "--help"]])
def test_help_names_every_option_and_runs_nothing(name, words, capsys):
    assert main([name, *words]) == 0
    text = capsys.readouterr()
    assert text.out.startswith(f"usage: python -m problems {name} ") and not text.err
    usage, _, about = text.out.partition("\n\n")
    for option in OPTIONS[name]:
        assert re.search(rf"^  --{option}\b", about, re.M), f"{name} --{option} is not explained"
        assert f"--{option}" in usage, f"{name} --{option} is not in the usage"
    assert max(map(len, about.splitlines())) <= 120


@pytest.mark.parametrize("words", [[], ["--help"]])
def test_the_list_names_every_command(words, capsys):
    assert main(words) == 0
    out = capsys.readouterr().out
    for name in COMMANDS:
        assert f"python -m problems {name} " in out


@pytest.mark.parametrize("words", [[], ["superb", "--help"]])
def test_a_reader_that_stops_reading_is_no_error(words):
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "problems", *words],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.close()  # as head does
    assert process.stderr.read() == "" and process.wait() == 141
