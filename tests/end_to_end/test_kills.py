"""Runs that are interrupted anywhere end as one that was not; a difference that is planted would be noticed."""

from __future__ import annotations

import dataclasses
import random
import signal

import pytest

from tests.parts.faults import CONTROLS, RUNS, KillAfter, Plant, differences, interrupt, prepare, timed

KILLS = 10


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", RUNS)
def test_ten_kills_change_nothing(name, tmp_path):
    run, killed = prepare(name, tmp_path / "data"), tmp_path / "killed"
    seconds = timed(run, tmp_path / "whole")
    interrupt(run, killed, seconds, random.Random(name), count=KILLS, number=signal.SIGKILL)
    run.finish(killed)
    assert differences(tmp_path / "whole" / "run", killed / "run") == []


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGSTOP])
def test_other_signals_change_nothing(number, tmp_path):
    run, stopped = prepare("asr, augmented", tmp_path / "data"), tmp_path / "stopped"
    seconds = timed(run, tmp_path / "whole")
    interrupt(run, stopped, seconds, random.Random(number), count=5, number=number)
    run.finish(stopped)
    assert differences(tmp_path / "whole" / "run", stopped / "run") == []


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_planted_difference_is_noticed(tmp_path):
    run = prepare("asr, augmented", tmp_path / "data")
    timed(run, tmp_path / "whole")
    for name in ("nothing", *CONTROLS):
        folder = tmp_path / name
        folder.mkdir()
        process = dataclasses.replace(run, alter=KillAfter(13)).start(folder)
        process.join()
        assert process.exitcode == -signal.SIGKILL
        dataclasses.replace(run, alter=Plant(name)).finish(folder)
        different = differences(tmp_path / "whole" / "run", folder / "run")
        assert bool(different) == (name != "nothing"), name
